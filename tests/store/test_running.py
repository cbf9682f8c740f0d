"""What runs says so in a small file, now and then, and only while it is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from so8t.store import running


def told(folder: Path) -> list[tuple[str, str, int, int, int]]:
    return [(each.stage, each.unit, each.done, each.total, each.start) for each in running.read(folder)]


def test_a_word_now_and_then_and_the_last_one_always(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(running.time, "monotonic", lambda: clock[0])
    running.tell("step", 1, 10)
    assert told(tmp_path) == []
    with running.during(tmp_path / "adapter.json", "adapter"):
        seen = [told(tmp_path)]
        for step, at in ((5, 100.0), (6, 100.1), (7, 100.25), (10, 100.26)):
            clock[0] = at
            running.tell("step", step, 10, 4)
            seen.append(told(tmp_path))
        for record in range(3):  # their number is unknown
            running.tell("record", record)
        seen.append(told(tmp_path))
    assert seen == [
        [("adapter", "", 0, 0, 0)],
        [("adapter", "step", 5, 10, 4)],
        [("adapter", "step", 5, 10, 4)],
        [("adapter", "step", 7, 10, 4)],
        [("adapter", "step", 10, 10, 4)],
        [("adapter", "record", 0, 0, 0)],
    ]
    assert told(tmp_path) == []


def test_a_stage_that_brings_another_one_back_goes_on_with_its_own_file(tmp_path: Path) -> None:
    with running.during(tmp_path / "outer.json", "outer"):
        with running.during(tmp_path / "inner.json", "inner"):
            running.tell("row", 1, 2)
            assert sorted(told(tmp_path)) == [("inner", "row", 1, 2, 0), ("outer", "", 0, 0, 0)]
        running.tell("row", 2, 2)
        assert told(tmp_path) == [("outer", "row", 2, 2, 0)]


def test_a_torn_file_and_a_folder_that_cannot_be_written_hurt_nobody(tmp_path: Path) -> None:
    (tmp_path / "torn.json").write_text('{"stage": "x"')
    (tmp_path / "file").write_text("")
    with running.during(tmp_path / "file" / "adapter.json", "adapter"):
        running.tell("step", 1, 2)
        assert told(tmp_path) == []
