"""Checkpoints appear whole, the newest few stay, a stop is heard."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from so8t.train import checkpoints
from so8t.train.checkpoints import Due, Stop


def folder(root: Path, name: str, text: str = "x") -> Path:
    made = root / name
    (made / "inner").mkdir(parents=True)
    (made / "inner" / "file").write_text(text, encoding="utf-8")
    return made


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def test_the_newest_is_the_one_of_the_highest_step(tmp_path: Path) -> None:
    assert checkpoints.newest(tmp_path) is None
    for step in (90, 100, 9):
        folder(tmp_path, f"checkpoint-{step}")
    folder(tmp_path, "part-110")
    assert checkpoints.newest(tmp_path) == tmp_path / "checkpoint-100"


def test_publishing_replaces_one_of_the_same_step(tmp_path: Path) -> None:
    folder(tmp_path, "checkpoint-5", "old")
    checkpoints.publish(folder(tmp_path, "part-5", "new"), tmp_path / "checkpoint-5")
    assert names(tmp_path) == ["checkpoint-5"]
    assert (tmp_path / "checkpoint-5" / "inner" / "file").read_text(encoding="utf-8") == "new"


def test_pruning_keeps_the_newest(tmp_path: Path) -> None:
    for step in (2, 10, 4, 8):
        folder(tmp_path, f"checkpoint-{step}")
    folder(tmp_path, "best-4")
    checkpoints.prune(tmp_path, keep=2)
    assert names(tmp_path) == ["best-4", "checkpoint-10", "checkpoint-8"]


def test_what_a_kill_left_is_swept(tmp_path: Path) -> None:
    for name in ("part-7", "part-best-3", "old-checkpoint-2", "checkpoint-6", "best-3", "rows"):
        folder(tmp_path, name)
    checkpoints.sweep(tmp_path)
    assert names(tmp_path) == ["best-3", "checkpoint-6", "rows"]


def test_a_checkpoint_is_due_by_steps_or_by_minutes() -> None:
    now = [0.0]
    due = Due(steps=10, minutes=5, clock=lambda: now[0])
    assert [due(step) for step in (1, 9, 10, 20)] == [False, False, True, True]
    now[0] = 299.0
    assert not due(21)
    now[0] = 300.0
    assert due(22)
    due.saved()
    assert not due(23)


def test_the_first_signal_asks_and_the_second_interrupts() -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stop = Stop()
    with stop.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before
