"""A terminal with lines at its bottom that are redrawn in place; all that anybody prints meanwhile stands above them.

Whoever prints, doit's workers and the stages' processes too, prints into a pipe, and one thread brings it to the
terminal, so that no two of them write at once.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import threading
from collections.abc import Callable

_REDRAW = 0.2  # seconds


class Screen:
    """`frame(columns)` gives the lines; it is asked five times a second, from a thread."""

    def __init__(self, frame: Callable[[int], list[str]]) -> None:
        self._frame = frame
        self._handles = [handle for handle in (1, 2) if os.isatty(handle)]
        self._kept = {handle: os.dup(handle) for handle in self._handles}
        self._terminal = os.dup(2)
        self._heard, self._said = os.pipe()
        self._woken, self._wake = os.pipe()
        self._drawn, self._line_is_open, self._draws = 0, False, True
        self._quiet = threading.Event()  # all that was printed before the end is on the terminal
        self._thread = threading.Thread(target=self._run, daemon=True, name="screen")

    def open(self) -> None:
        self._turn(dict.fromkeys(self._handles, self._said))
        self._thread.start()

    def close(self) -> None:
        """From now on doit prints to the terminal itself; what others still print passes through."""
        self._turn(self._kept)
        os.write(self._wake, b".")
        self._quiet.wait(5)

    def _turn(self, handles: dict[int, int]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        for handle, target in handles.items():
            os.dup2(target, handle)

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._heard, self._woken], [], [], _REDRAW if self._draws else None)
            if self._heard in ready:
                self._pass(os.read(self._heard, 1 << 16))
            elif self._woken in ready:
                os.read(self._woken, 1)
                self._draws = False
                self._pass(b"")
                self._quiet.set()
            elif not self._line_is_open:
                self._pass(b"")

    def _pass(self, text: bytes) -> None:
        """What was printed, and the lines below it, in one go."""
        if text:
            self._line_is_open = not text.endswith(b"\n")
        with contextlib.suppress(OSError):  # the terminal is gone, and with it whoever looked; the pipe must not fill
            lines = self._lines() if self._draws and not self._line_is_open else []
            wiped = b"" if not self._drawn else b"\r" + b"\x1b[A" * (self._drawn - 1) + b"\x1b[J"
            self._drawn = len(lines)
            _write(self._terminal, wiped + text + "\n".join(lines).encode())

    def _lines(self) -> list[str]:
        size = os.get_terminal_size(self._terminal)
        return self._frame(size.columns or 80)[: max(size.lines - 1, 1)]


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]
