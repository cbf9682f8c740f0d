"""Append-only logs of lines, and the one rule for a last line that a kill tore.

A line counts once its line end is there and it can be read.  A kill can leave one line that does not count, the last:
readers leave it out, and whoever goes on with the log cuts it off first.  One before others is damage, and an error.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from so8t.errors import DataError
from so8t.store.atomic import sync

T = TypeVar("T")
Decode = Callable[[bytes], T | None]  # what a line says; None where it cannot be read
_BACK = 1 << 16


def whole(file: BinaryIO, path: Path, decode: Decode[T], wrong: str) -> Iterator[tuple[bytes, T]]:
    """From the beginning, each line that counts and what it says; `wrong` is said of damage."""
    file.seek(0)
    torn = 0
    for number, line in enumerate(file, 1):
        if torn:
            raise DataError(f"{path}:{torn}: {wrong}")
        entry = decode(line) if line.endswith(b"\n") else None
        if entry is None:
            torn = number
        else:
            yield line, entry


def read(path: Path, decode: Decode[T], wrong: str) -> Iterator[T]:
    """The entries of a log that another may still write."""
    with path.open("rb") as file:
        for _, entry in whole(file, path, decode, wrong):
            yield entry


def mend(path: Path) -> int:
    """Cut off what stands after the last line end, without reading the rest; the size that is left."""
    try:
        file = path.open("r+b")
    except FileNotFoundError:
        return 0
    with file:
        size = file.seek(0, os.SEEK_END)
        end = _last_end(file, size)
        if end < size:
            file.truncate(end)
            os.fsync(file.fileno())
    return end


def append(path: Path, data: bytes, synced: bool = False) -> None:
    """Whole lines after those that are there, in one write where the system can; `synced`: on the disk on return."""
    new = not path.exists()
    with path.open("ab", buffering=0) as log:
        rest = memoryview(data)
        while rest:
            rest = rest[log.write(rest) :]
        if synced:
            os.fsync(log.fileno())
    if synced and new:
        sync(path.parent)


class Log(Generic[T]):
    """A log that one process goes on with and reads again at will."""

    def __init__(self, path: Path, decode: Decode[T], wrong: str) -> None:
        self.path, self._decode, self._wrong = path, decode, wrong
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file: BinaryIO = path.open("a+b")

    def entries(self) -> Iterator[tuple[bytes, T]]:
        return whole(self._file, self.path, self._decode, self._wrong)

    def append(self, line: bytes) -> int:
        """Where the line begins; it survives a kill of the process from here on."""
        place = self._file.seek(0, os.SEEK_END)
        self._file.write(line)
        self._file.flush()
        return place

    def line(self, place: int) -> bytes:
        self._file.seek(place)
        return self._file.readline()

    def cut(self, end: int) -> None:
        """One truncation: a kill leaves the log as it was or as it shall be, and nothing beside it."""
        self._file.truncate(end)

    def sync(self) -> None:
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()


def _last_end(file: BinaryIO, size: int) -> int:
    """The place after the last line end."""
    stop = size
    while stop:
        start = max(0, stop - _BACK)
        file.seek(start)
        if (at := file.read(stop - start).rfind(b"\n")) >= 0:
            return start + at + 1
        stop = start
    return 0
