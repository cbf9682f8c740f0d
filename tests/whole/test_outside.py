"""A stage that makes something outside of the project: whether that is still there is asked, but by nobody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import House

pytestmark = pytest.mark.slow

POST = '''
"""a notice on a wall that others write on"""
import os
from pathlib import Path
from stages import log
from so8t.errors import StageError
from so8t.spec.fields import SpecModel, execution
from so8t.engine.stage import Stage


class Spec(SpecModel):
    text: str = "こんにちは"
    """What the notice says."""
    wall: str = execution("wall.txt")
    """Where it hangs."""


def build(inputs, out: Path, spec: Spec) -> None:
    log.note("notice")
    total = (inputs["total"] / "total.txt").read_text("utf-8")
    Path(spec.wall).write_text(spec.text + total, "utf-8")
    (out / "notice.txt").write_text(spec.text + total, "utf-8")


def outside(spec: Spec, folder: Path):
    log.note("look")
    wall = Path(spec.wall)
    if wall.with_suffix(".fog").exists():
        raise StageError("nobody sees the wall for fog")
    if not wall.exists():
        return ["the notice is gone"]
    there, ours = (path.read_text("utf-8") for path in (wall, folder / "notice.txt"))
    return [] if there == ours else ["the wall says something else"]


STAGE = Stage(
    "notice", Spec, build, takes=("total",), gives=("notice.txt",), on_request=True, outside=outside
)
'''


@pytest.fixture
def posted(house: House) -> House:
    """A house whose notice hangs on the wall."""
    house.write("stages/notice.py", POST)
    house.edit("stages/__init__.py", "card, doubled", "card, doubled, notice")
    house.edit("stages/__init__.py", "parity.STAGE)", "parity.STAGE, notice.STAGE)")
    assert house.doit("notice").ran[-1] == "notice"
    return house


def wall(house: House) -> Path:
    return house.path / "wall.txt"


def test_what_is_there_is_not_made_again(posted: House) -> None:
    run = posted.doit("notice")

    assert (run.code, run.ran, run.out.splitlines()[-1]) == (0, ["look"], "-- notice")
    assert posted.why("notice") == ["notice: up to date"]


def test_a_usual_doit_asks_nobody_outside(posted: House) -> None:
    assert posted.doit().ran == ["card", "parity"] + [f"parity of {number}" for number in (1, 2, 3)]
    assert posted.doit().ran == []
    assert posted.doit("why").ran == []
    assert posted.doit("verify").ran == []


@pytest.mark.parametrize(
    ("happened", "reason"),
    [
        (lambda wall: wall.unlink(), "the notice is gone"),
        (lambda wall: wall.write_text("さようなら", "utf-8"), "the wall says something else"),
    ],
    ids=["removed", "overwritten"],
)
def test_what_others_changed_is_named_and_made_again_and_never_restored(posted: House, happened, reason: str) -> None:
    happened(wall(posted))

    assert posted.why("notice") == ["notice: would be built", f"  - {reason}"]
    verified = posted.doit("verify", "notice")
    assert (verified.code, verified.out.splitlines()[1:]) == (
        1,
        [f"notice: {reason}", "damaged: notice; run doit to heal"],
    )
    run = posted.doit("notice")
    assert (run.code, run.ran) == (0, ["look", "look", "notice"])
    assert wall(posted).read_text("utf-8") == "こんにちは12\n"
    assert posted.why("notice") == ["notice: up to date"]


def test_what_cannot_be_told_is_said_with_a_code_of_its_own(posted: House) -> None:
    (posted.path / "wall.fog").touch()
    run = posted.doit("why", "notice")

    assert (run.code, run.out.splitlines()) == (2, ["notice: cannot be told", "  - nobody sees the wall for fog"])


def test_an_earlier_value_is_made_again_for_the_store_holds_nothing_outside(posted: House) -> None:
    posted.write("specs/tiny/notice.yaml", "text: おはよう\n")
    posted.doit("notice")
    (posted.path / "specs/tiny/notice.yaml").unlink()

    assert posted.why("notice") == ["notice: would be built", '  - spec text: "おはよう" -> "こんにちは"']
    assert posted.doit("notice").ran == ["notice"]
    assert wall(posted).read_text("utf-8") == "こんにちは12\n"


def test_a_stage_that_was_cleaned_away_is_made_again(posted: House) -> None:
    posted.doit("clean", "notice")
    wall(posted).unlink()

    assert posted.doit("notice").ran == ["notice"]
    assert wall(posted).exists()


FETCHED = '''
"""numbers from far away"""
from stages import log
from so8t.spec.fields import SpecModel
from so8t.engine.stage import Stage


class Spec(SpecModel):
    number: int = 5
    """What is fetched."""


def build(inputs, out, spec: Spec) -> None:
    log.note("fetched")
    (out / "numbers.txt").write_text(f"{spec.number}\\n", "utf-8")


STAGE = Stage("fetched", Spec, build, gives=("numbers.txt",), on_request=True)
'''


def test_who_reads_what_a_stage_on_request_left_never_has_it_made_anew(house: House) -> None:
    house.write("stages/fetched.py", FETCHED)
    house.edit("stages/__init__.py", "card, doubled", "card, doubled, fetched")
    house.edit(
        "stages/__init__.py", "{stage.name: stage for stage in (", "{stage.name: stage for stage in (fetched.STAGE, "
    )
    house.write("specs/tiny/numbers.yaml", "path: artifacts/tiny/fetched/numbers.txt\n")
    house.doit("fetched")
    house.write("specs/tiny/fetched.yaml", "number: 6\n")  # stale from now on

    assert house.doit("numbers").ran == ["numbers"]
