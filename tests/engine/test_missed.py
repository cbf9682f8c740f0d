"""A result that misses a bound of quality: nobody builds on it, and its figures stay to be looked at."""

from __future__ import annotations

import pytest

from tests.house import House

pytestmark = pytest.mark.slow

SAID = (
    "total: 12 is over 10, which is what the spec allows; its figures are in artifacts/tiny/.so8t/missed/total, which "
    "no stage reads"
)


def test_it_fails_with_the_place_of_its_figures_until_it_is_good_enough(house: House) -> None:
    house.edit("stages/total.py", "STAGE =", MISSES)
    house.edit("stages/total.py", '"utf-8")', '"utf-8")\n    check(sum(values), spec.cap)')
    house.write("specs/tiny/total.yaml", "cap: 10\n")

    bad = house.doit("total", "card")

    assert bad.code == 1
    assert SAID in bad.out + bad.err
    assert house.read("artifacts/tiny/.so8t/missed/total/total.txt") == "10\n"
    assert not house.artifact("total").exists()
    assert "card" not in bad.ran

    house.write("specs/tiny/total.yaml", "cap: 20\n")
    good = house.doit("card")

    assert (good.code, good.ran) == (0, ["total", "card"])
    assert house.read("artifacts/tiny/card/card.txt") == "合計: 12\n"
    assert not (house.path / "artifacts/tiny/.so8t/missed/total").exists()


MISSES = """
def check(found, cap):
    from so8t.errors import Missed

    if found > cap:
        raise Missed(f"total: {found} is over {cap}, which is what the spec allows")


STAGE ="""
