"""The doit that tests fork is the one that users start."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests import warm
from tests.house import House, Run

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not warm.IS_POSSIBLE, reason="elsewhere each doit is started")]


def timeless(run: Run) -> Run:
    return Run(run.code, run.out, re.sub(r"\d+\.\d s", "0.0 s", run.err), run.ran)


def test_a_forked_doit_says_and_leaves_what_a_started_one_does(tmp_path: Path) -> None:
    started, forked = House(tmp_path / "started"), House(tmp_path / "forked")

    for arguments in ((), ("why", "card"), ("nothing-of-that-name",)):
        assert timeless(forked.doit(*arguments)) == timeless(started.cold(*arguments))

    assert forked.digests() == started.digests() != {}
    assert forked.doit("list").code == 0


def test_its_nursery_is_forked_too(house: House) -> None:
    """Else it imports what the fork has imported, and nobody sees why the tests take so long."""
    house.edit("stages/numbers.py", 'log.note("numbers")', "import sys; log.note(str('doit' in sys.modules))")

    assert [house.doit("numbers").ran, house.cold("--always-execute", "numbers").ran] == [["True"], ["False"]]


def test_one_that_is_killed_takes_its_stages_along(house: House) -> None:
    house.hold("numbers")
    doing = warm.Doit([], house.path, house.env)
    house.wait_for("numbers")
    out, err = house.kill(doing), doing.returncode
    house.release("numbers")

    assert (out, err) == ("", -9)
    assert house.noted() == ["numbers"]
    assert house.doit("numbers").ran == ["numbers"]
