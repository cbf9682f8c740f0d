"""A person at a terminal sees how far the build is; a file does not."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

from so8t.engine.outlook import seconds
from tests.house import House

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def simple(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal that can redraw lines, `test_screen` looks."""
    monkeypatch.setenv("TERM", "dumb")


def watched(house: House, *args: str) -> list[str]:
    """What doit says of stages on a terminal."""
    import pty

    ours, theirs = pty.openpty()
    with house.start(*args, stderr=theirs, stdout=subprocess.DEVNULL) as doing:
        os.close(theirs)
        said = b""
        try:
            while piece := os.read(ours, 1 << 16):
                said += piece
        except OSError:  # Linux' word for the end of a terminal
            pass
    os.close(ours)
    assert doing.returncode == 0, said.decode()
    return re.findall(r"^   (\w+: built) in [\d.]+ s(.*)\r$", said.decode(), re.MULTILINE)


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of another kind")
def test_n_of_m_and_the_time_that_is_left(house: House) -> None:
    assert watched(house) == [
        ("numbers: built", " (1 of 5)"),
        ("doubled: built", " (2 of 5)"),
        ("total: built", " (3 of 5)"),
        ("card: built", " (4 of 5)"),
        ("parity: built", " (5 of 5)"),
    ]
    journal = "artifacts/.so8t/journal.jsonl"
    house.write(journal, re.sub(r'"seconds": [\d.]+', '"seconds": 65.0', house.read(journal)))
    house.edit("specs/tiny/doubled.yaml", "times: 2", "times: 3")

    assert watched(house) == [
        ("doubled: built", " (1 of 3, about 2:10 left)"),
        ("total: built", " (2 of 3, about 1:05 left)"),
        ("card: built", " (3 of 3)"),
    ]


def test_a_damaged_journal_is_named_and_stops_nothing(built: House) -> None:
    journal = "artifacts/.so8t/journal.jsonl"
    built.write(journal, "{torn\n" + built.read(journal))
    built.edit("specs/tiny/doubled.yaml", "times: 2", "times: 3")

    assert [name for name, _ in watched(built)] == ["doubled: built", "total: built", "card: built"]


def test_the_last_build_counts_and_this_profiles_own_first() -> None:
    def entry(stage: str, profile: str, taken: float, outcome: str = "built") -> dict[str, object]:
        return {"stage": stage, "profile": profile, "seconds": taken, "outcome": outcome}

    told = [entry("a", "tiny", 3), entry("a", "tiny", 4), entry("a", "mine", 9), entry("a", "tiny", 1, "restored")]
    assert seconds([*told, entry("b", "mine", 7)], "tiny") == {"a": 4, "b": 7}
