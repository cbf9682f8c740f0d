"""What a stage said while it was built, kept by its key beside the journal: for people, and no part of any result."""

from __future__ import annotations

import contextlib
import re
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from typing import Any, TextIO, cast

from so8t.store.layout import Layout

_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TAIL = 16 << 10  # bytes that are read from the end
_DAY = 24 * 3600  # seconds
_LONGEST = 2000  # characters of a line


def tail(layout: Layout, key: str, lines: int) -> tuple[str, ...]:
    """The last lines; none where nothing was said, or on another machine."""
    try:
        with layout.said(key).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - _TAIL))
            found = file.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    return tuple(found[-lines:])


def forget(layout: Layout, known: Collection[str]) -> None:
    """Of keys that the store does not know; one of today may be of a build under way."""
    for path in layout.said("").parent.glob("*.log"):
        with contextlib.suppress(FileNotFoundError):
            if path.stem not in known and time.time() - path.stat().st_mtime > _DAY:
                path.unlink()


@contextlib.contextmanager
def kept(layout: Layout, key: str, goes_on: bool) -> Iterator[None]:
    """While it lasts, what Python prints is written down, too; a build that goes on adds to what is there."""
    with _log(layout, key, goes_on) as lines:
        if lines is None:
            yield
            return
        before = sys.stdout, sys.stderr
        sys.stdout, sys.stderr = (cast(TextIO, _Both(stream, lines)) for stream in before)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before


@contextlib.contextmanager
def telling(layout: Layout, key: str) -> Iterator[Callable[[str], None]]:
    """What is told is printed, and added to what was written down: several in one process do not meet."""
    with _log(layout, key, goes_on=True) as lines:

        def tell(text: str) -> None:
            print(text, file=sys.stderr, flush=True)
            if lines is not None:
                lines.add(f"{text}\n")

        yield tell


@contextlib.contextmanager
def _log(layout: Layout, key: str, goes_on: bool) -> Iterator[Lines | None]:
    path = layout.said(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        log = path.open("a" if goes_on else "w", encoding="utf-8", errors="backslashreplace", buffering=1)
    except OSError as error:
        print(f"warning: what is said will not be kept: {error.strerror}: {layout.shown(path)}", file=sys.stderr)
        yield None
        return
    with log:
        lines = Lines(log)
        try:
            yield lines
        finally:
            lines.close()


class Lines:
    """Whole lines as they stand on a terminal in the end: what was redrawn in place counts once, colours not at all."""

    def __init__(self, log: TextIO) -> None:
        self._log, self._open, self._line = log, True, ""
        self._lock = threading.Lock()

    def add(self, text: str) -> None:
        with self._lock:
            *whole, rest = (self._line + text).split("\n")
            for line in whole:
                self._write(line)
            self._line = rest[rest.rfind("\r", 0, len(rest) - 1) + 1 :]

    def close(self) -> None:
        with self._lock:
            self._write(self._line)
            self._line = ""

    def _write(self, line: str) -> None:
        shown = _COLOURS.sub("", line.rstrip("\r").rpartition("\r")[2])[:_LONGEST].rstrip()
        if shown and self._open:
            try:
                self._log.write(f"{shown}\n")
            except OSError:  # a full disk ends the log, not the build
                self._open = False


class _Both:
    """A stream that is also written down."""

    def __init__(self, stream: TextIO, lines: Lines) -> None:
        self._stream, self._lines = stream, lines

    def write(self, text: str) -> int:
        self._lines.add(text)
        return self._stream.write(text)

    def writelines(self, texts: Any) -> None:
        for text in texts:
            self.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
