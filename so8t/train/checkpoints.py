"""Checkpoints of a run: each whole or not there, the newest few kept, and a run that is told to stop leaves one."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from so8t.store.atomic import sync

NAME = "checkpoint-"
PART = "part"


def newest(folder: Path) -> Path | None:
    """The checkpoint to go on from."""
    return max(folder.glob(f"{NAME}*"), key=step_of, default=None)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(NAME))


def publish(part: Path, target: Path) -> None:
    """Put a finished folder in its place: its bytes on the disk first, then one rename."""
    for path in sorted(part.rglob("*")):
        sync(path)
    sync(part)
    if target.exists():  # of an equal step, so of equal worth
        shutil.rmtree(target)
    part.replace(target)
    sync(target.parent)


def prune(folder: Path, keep: int) -> None:
    """Only the newest `keep` stay.  A folder loses its name as a checkpoint before its files go."""
    for old in sorted(folder.glob(f"{NAME}*"), key=step_of)[:-keep]:
        doomed = folder / f"old-{old.name}"
        old.replace(doomed)
        shutil.rmtree(doomed)


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # what stays is swept by the next run


def sweep(folder: Path) -> None:
    """What a killed run left half-written or half-removed."""
    for path in [*folder.glob(f"{PART}*"), *folder.glob("old-*")]:
        shutil.rmtree(path)


class Due:
    """Whether it is time for a checkpoint: by steps, or by minutes since the last one."""

    def __init__(self, steps: int, minutes: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._steps, self._seconds, self._clock = steps, minutes * 60, clock
        self._last = clock()

    def __call__(self, step: int) -> bool:
        return step % self._steps == 0 or self._clock() - self._last >= self._seconds

    def saved(self) -> None:
        self._last = self._clock()


class Stop:
    """Whether somebody asked the run to end; it does so after the step under way, with a checkpoint."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[Stop]:
        """The first signal asks, the second interrupts at once.  Only the main thread is told of signals."""
        if threading.current_thread() is not threading.main_thread():
            yield self
            return
        before: dict[int, Any] = {sign: signal.signal(sign, self._hear) for sign in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for sign, handler in before.items():
                signal.signal(sign, handler)

    def _hear(self, _sign: int, _frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
