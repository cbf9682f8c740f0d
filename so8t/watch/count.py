"""How many answers of many there are, for a person: a line now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from so8t.store import running
from so8t.watch.progress import clock_face

_SPEAK = 10.0  # seconds between two lines


class Count:
    """`before` are there from an earlier run, which the first line says."""

    def __init__(
        self,
        label: str,
        total: int,
        before: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._label, self._total, self._before = label, total, before
        self._stream, self._clock = stream or sys.stderr, clock
        self._done = 0
        self._begun = self._spoken = clock()
        self._is_drawn = running.is_drawn() and stream is None
        self._told()
        if before:
            self._say(f"{before:,} of {total:,} answers are kept from an earlier run")

    def add(self) -> None:
        """One more is there."""
        self._done += 1
        self._told()
        now = self._clock()
        left = self._total - self._before - self._done
        if left and not self._is_drawn and now - self._spoken >= _SPEAK:
            self._spoken = now
            eta = clock_face((now - self._begun) / self._done * left)
            self._say(f"{self._before + self._done:,} of {self._total:,} answers, ETA {eta}")

    def _told(self) -> None:
        part = self._label.partition(": ")[2]
        running.tell("answer", self._before + self._done, self._total, self._before, part)

    def _say(self, text: str) -> None:
        print(f"{self._label}: {text}", file=self._stream, flush=True)
