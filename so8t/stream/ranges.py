"""A file of lines in ranges of bytes that end at a newline, so that several hands can work on one file."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 1 << 16


@dataclass(frozen=True)
class Range:
    """Whole lines of a file, from byte `start` to before byte `end`."""

    path: Path
    start: int
    end: int

    def lines(self) -> Iterator[bytes]:
        """Each with its line end; a carriage return ends none."""
        with self.path.open("rb", buffering=0) as file:
            file.seek(self.start)
            data = io.BytesIO(io.BufferedReader(file).read(self.end - self.start))
        yield from data


def cut(path: Path, size: int) -> Iterator[Range]:
    """The whole file in its order; a range has `size` bytes and what its last line has more."""
    with path.open("rb", buffering=0) as file:
        whole, start = file.seek(0, os.SEEK_END), 0
        while start < whole:
            end = min(_line_end(file, start + size - 1), whole)
            yield Range(path, start, end)
            start = end


def _line_end(file: io.FileIO, at: int) -> int:
    """Where the line ends that holds byte `at`; no character of UTF-8 has a newline inside."""
    file.seek(at)
    while block := file.read(_BLOCK):
        if (found := block.find(b"\n")) >= 0:
            return at + found + 1
        at += len(block)
    return at
