"""How far a run is, for a person: one line redrawn in place on a terminal, a plain line now and then elsewhere."""

from __future__ import annotations

import shutil
import sys
import time
from collections import deque
from collections.abc import Callable
from typing import TextIO

from so8t.store import running

_REDRAW = 0.2  # seconds between two drawings on a terminal
_SPEAK = 10.0  # and between two lines in a file
_SHARES = 10  # a line each tenth of the run, however fast it is
_WINDOW = 30.0  # seconds over which tokens/s is a mean
_BAR = 20


class Progress:
    """Told of each step.  A run that goes on from step `start` judges its speed by its own steps alone.

    Steps that follow within moments are not drawn.  A stream that goes away (a closed terminal, a full disk) ends the
    drawing, not the run.
    """

    def __init__(
        self,
        label: str,
        steps: int,
        start: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        width: Callable[[], int] = lambda: shutil.get_terminal_size().columns,
    ) -> None:
        self._label, self._steps, self._start = label, steps, start
        self._stream, self._clock, self._width = stream or sys.stderr, clock, width
        self._live = self._stream.isatty()
        self._is_drawn = running.is_drawn() and stream is None
        self._begun = self._drawn = clock()
        self._step, self._tokens, self._loss = start, 0, 0.0
        self._share = start * _SHARES // steps
        self._seen = deque([(self._begun, 0)])
        self._length = 0  # of the line that stands on the terminal
        self._open = True

    def update(self, step: int, tokens: int, loss: float) -> None:
        """Step `step` is done; it took `tokens` tokens."""
        now = self._clock()
        first = self._step == self._start
        self._step, self._loss = step, loss
        self._tokens += tokens
        self._seen.append((now, self._tokens))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _WINDOW:
            self._seen.popleft()
        share = step * _SHARES // self._steps
        running.tell("step", step, self._steps, self._start, detail=f"loss {loss:.4f}  {self._pace():,.0f} tokens/s")
        due = now - self._drawn >= (_REDRAW if self._live else _SPEAK)
        if not self._is_drawn and (first or due or step == self._steps or (share > self._share and not self._live)):
            self._draw()
        self._share = share

    def say(self, text: str) -> None:
        """A line of its own, above the one that is redrawn."""
        self._wipe()
        self._write(f"{self._label}: {text}\n")
        if self._live and self._step > self._start:
            self._draw()

    def close(self) -> None:
        """The line stays as it is, and a last one says what became of the run."""
        if not self._open:
            return
        if self._length:
            self._write("\n")
            self._length = 0
        if self._step > self._start:
            self._write(f"{self._label}: {self._summary()}\n")
        self._open = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _draw(self) -> None:
        self._drawn = self._clock()
        if not self._live:
            self._write(f"{self._label}: {self._facts()}\n")
            return
        columns = max(self._width() - 1, 10)  # a line that fills the last column would wrap
        done = self._step * _BAR // self._steps
        with_bar = f"{self._label} [{'#' * done}{'.' * (_BAR - done)}] {self._facts()}"
        line = with_bar if len(with_bar) <= columns else f"{self._label} {self._facts()}"[:columns]
        self._write("\r" + line.ljust(min(self._length, columns)))
        self._length = len(line)

    def _wipe(self) -> None:
        if self._length:
            self._write("\r" + " " * self._length + "\r")
            self._length = 0

    def _facts(self) -> str:
        percent = 100 * self._step // self._steps
        return (
            f"step {self._step:,}/{self._steps:,} ({percent} %)  loss {self._loss:.4f}  "
            f"{self._pace():,.0f} tokens/s  {self._left()}"
        )

    def _pace(self) -> float:
        (since, before), (now, after) = self._seen[0], self._seen[-1]
        return (after - before) / (now - since) if now > since else 0.0

    def _left(self) -> str:
        """From the steps of this run, validation and checkpoints between them included."""
        if self._step == self._steps:
            return f"took {clock_face(self._elapsed())}"
        each = self._elapsed() / (self._step - self._start)
        return f"ETA {clock_face(each * (self._steps - self._step))}"

    def _elapsed(self) -> float:
        return self._seen[-1][0] - self._begun

    def _summary(self) -> str:
        done = self._step - self._start
        pace = self._tokens / self._elapsed() if self._elapsed() else 0.0
        of = "" if self._step == self._steps else f", stopped at {self._step:,} of {self._steps:,}"
        resumed = f" after {self._start:,} earlier ones" if self._start else ""
        return f"{done:,} steps{resumed} in {clock_face(self._elapsed())}, {pace:,.0f} tokens/s{of}"

    def _write(self, text: str) -> None:
        if not self._open:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream was closed
            self._open = False


def clock_face(seconds: float) -> str:
    """0:07, 2:35, 1:02:35, 3 d 04:10."""
    whole = round(seconds)
    days, hours, minutes = whole // 86400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days} d {hours:02}:{minutes:02}"
    if hours:
        return f"{hours}:{minutes:02}:{whole % 60:02}"
    return f"{minutes}:{whole % 60:02}"
