"""retain: manifest - the bytes of an intermediate go once its consumers are built, and come back when asked for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.house import House

pytestmark = pytest.mark.slow

UP_TO_DATE = dict.fromkeys(["numbers", "doubled", "total", "card", "parity"], "U")


@pytest.fixture
def lean(house: House) -> House:
    house.write("specs/tiny/profile.yaml", "retain:\n  doubled: manifest\n")
    assert house.doit().code == 0
    return house


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def blobs(house: House) -> list[str]:
    return sorted(path.read_text() for path in house.path.glob("artifacts/.so8t/store/blobs/*/*"))


def test_the_bytes_go_the_manifest_stays_and_everything_is_up_to_date(lean: House) -> None:
    assert files(lean.artifact("doubled")) == ["manifest.json"]
    assert "2\n4\n6\n" not in blobs(lean)
    assert lean.status() == UP_TO_DATE
    run = lean.doit()
    assert (run.code, run.ran) == (0, [])
    assert lean.why("doubled") == ["doubled: up to date (its files were removed: retain is manifest)"]
    found = lean.doit("verify")
    assert (found.code, found.out.splitlines()[1]) == (
        0,
        "doubled: its files were removed by retain, nothing to hash",
    )


def test_a_changed_consumer_brings_the_bytes_back_and_lets_them_go_again(lean: House) -> None:
    before = lean.digests()
    lean.write("specs/tiny/total.yaml", "cap: 7\n")

    run = lean.doit()

    assert (run.code, run.ran) == (0, ["doubled", "total", "card"])
    assert lean.read("artifacts/tiny/card/card.txt") == "合計: 7\n"
    assert files(lean.artifact("doubled")) == ["manifest.json"]
    assert {name: digest for name, digest in lean.digests().items() if "doubled" in name} == {
        name: digest for name, digest in before.items() if "doubled" in name
    }
    assert lean.doit().ran == []


def test_with_a_mirror_they_come_back_without_a_build(house: House) -> None:
    url = (house.path / "mirror").as_uri()
    house.write("specs/tiny/profile.yaml", f"retain:\n  doubled: manifest\nstore:\n  mirror: {url}\n  trusted: any\n")
    house.doit()
    house.write("specs/tiny/total.yaml", "cap: 7\n")

    assert house.doit().ran == ["total", "card"]
    assert house.read("artifacts/tiny/card/card.txt") == "合計: 7\n"
    assert files(house.artifact("doubled")) == ["manifest.json"]


def test_a_change_of_its_own_builds_it_and_lets_it_go_again(lean: House) -> None:
    lean.edit("specs/tiny/doubled.yaml", "times: 2", "times: 4")

    assert lean.doit().ran == ["doubled", "total", "card"]
    assert lean.read("artifacts/tiny/card/card.txt") == "合計: 24\n"
    assert files(lean.artifact("doubled")) == ["manifest.json"]
    assert lean.doit().ran == []


def test_a_mirror_brings_results_to_another_checkout_without_a_build(house: House, tmp_path_factory) -> None:
    mirror = tmp_path_factory.mktemp("mirror")
    house.write("specs/tiny/profile.yaml", f"store:\n  mirror: {mirror.as_uri()}\n  trusted: any\n")
    house.doit()

    other = house.copy(tmp_path_factory.mktemp("other") / "checkout")
    run = other.doit()

    assert (run.code, run.ran) == (0, [])
    assert other.digests() == house.digests()
    assert "   card: restored in " in run.err


def test_a_mirror_that_cannot_be_reached_is_told_and_the_build_goes_on(house: House) -> None:
    house.write("specs/tiny/profile.yaml", "store:\n  mirror: file:///dev/null/nowhere\n  trusted: any\n")

    run = house.doit("numbers")

    assert (run.code, run.ran) == (0, ["numbers"])
    assert "warning: mirror file:///dev/null/nowhere: " in run.err
    assert "; going on without the mirror" in run.err


def test_what_a_trusted_machine_signed_is_restored_and_what_another_wrote_is_built(
    house: House, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All through a mirror of encrypted files."""
    place = tmp_path_factory.mktemp("mirror")
    opens = place / "ours.age"
    recipient = house.doit("mirror", "--new-identity", str(opens)).out.splitlines()[-1]
    keys = {who: place / f"{who}.pem" for who in ("ours", "theirs")}
    named = {who: house.doit("mirror", "--new-key", str(path)).out.splitlines()[-1] for who, path in keys.items()}
    shared = f"store:\n  mirror: {(place / 'shared').as_uri()}\n  trusted: [{named['ours']!r}]\n"
    shared += f"  encrypt: {{recipients: [{recipient}], identity: {str(opens)!r}}}\n"
    house.write("specs/tiny/profile.yaml", f"{shared}  key: {keys['ours']}\n")
    house.doit("total", "parity")

    other = house.copy(tmp_path_factory.mktemp("other") / "checkout")
    other.write("specs/tiny/profile.yaml", shared)
    assert other.doit("total", "parity").ran == []
    house.write("specs/tiny/profile.yaml", f"{shared}  key: {keys['theirs']}\n")
    house.doit()

    run = other.doit()
    key = json.loads(house.read("artifacts/tiny/card/manifest.json"))["key"]
    assert run.ran == ["card"]
    assert {path.suffix for path in place.glob("shared/blobs/*/*")} == {".age"}
    assert f"entries/{key}.json is signed by no key of store.trusted; going on without the mirror" in run.err


def test_a_key_that_is_not_there_is_said_before_anything_is_built(house: House) -> None:
    url = (house.path / "mirror").as_uri()
    house.write("specs/tiny/profile.yaml", f"store:\n  mirror: {url}\n  trusted: any\n  key: lost.pem\n")

    run = house.doit("numbers")

    lost = house.path / "lost.pem"
    assert (run.code, run.ran) == (1, [])
    assert f"store.key: {lost}: there is no such file; doit mirror --new-key {lost} makes one\n" in run.out


LEDGER = '''
"""a ledger of what there is"""
import json
from pathlib import Path
from stages import log
from so8t.spec.fields import SpecModel
from so8t.engine.stage import Stage


class Spec(SpecModel):
    pass


def build(inputs, out: Path, spec: Spec) -> None:
    log.note("ledger")
    assert inputs.place.profile == "tiny"
    there = sorted(path.name for name in ("doubled", "total") for path in inputs[name].rglob("*") if path.is_file())
    (out / "ledger.txt").write_text(" ".join(there), "utf-8")


STAGE = Stage("ledger", Spec, build, takes=("doubled/manifest.json", "total/manifest.json"), gives=("ledger.txt",))
'''


def test_who_takes_a_manifest_is_built_when_it_changes_and_brings_no_bytes_back(lean: House) -> None:
    lean.write("stages/ledger.py", LEDGER)
    lean.edit("stages/__init__.py", "card, doubled,", "card, doubled, ledger,")
    lean.edit("stages/__init__.py", "parity.STAGE)", "parity.STAGE, ledger.STAGE)")

    first = lean.doit()
    ledger = lean.read("artifacts/tiny/ledger/ledger.txt")
    again = lean.doit()
    lean.write("specs/tiny/total.yaml", "cap: 99\n")  # changes no byte of total.txt
    capped = lean.doit()

    assert (first.code, first.ran, again.ran) == (0, ["ledger"], []), first.err
    assert ledger == "manifest.json manifest.json total.txt"
    assert capped.ran == ["doubled", "total", "ledger"]
    assert files(lean.artifact("doubled")) == ["manifest.json"]
