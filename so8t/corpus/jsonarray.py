"""JSON files of one array, cut into its records as they stream by: in memory is one record and what is read ahead.

A record is bytes, as a line of JSONL is, and passes the same checks; the array around it is looked at here alone.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson

from so8t.corpus.jsonl import BOM, TooLong, parse, raw
from so8t.corpus.opened import BROKEN, CHUNK, blamed, opened
from so8t.corpus.rows import Defect, Row, Rows, where
from so8t.errors import DataError

_OUTSIDE = re.compile(rb'["\[\]{},]')  # what matters outside a string ...
_INSIDE = re.compile(rb'["\\]')  # ... and in one


def rows(path: Path, name: str, max_line: int) -> Rows:
    """The file as a source gives it."""
    if key := _key(path, name, max_line):
        return Rows((name,), _wrapped(path, name, key), parse, raw, read_as={name: f"its records are the list {key!r}"})
    return Rows((name,), records(path, name, max_line), parse, raw)


def _key(path: Path, name: str, max_line: int) -> str:
    """The key of the one list of objects in a file that is an object, such as {"version": 1, "data": [...]}."""
    with suppress(*BROKEN), opened(path) as stream:
        data = stream.read(CHUNK).removeprefix(BOM).lstrip()
        if not data.startswith(b"{"):
            return ""
        data += stream.read(max_line)
        if len(data) > max_line:
            raise DataError(f"{name}: the file is one object of more than max_line; give the array in it alone")
        value = _object(data, name)
        lists = [key for key, each in value.items() if isinstance(each, list) and each and isinstance(each[0], dict)]
        if len(lists) != 1:
            raise DataError(
                f"{name}: the file is one object, not an array, and {len(lists)} of its keys hold records: "
                f"{', '.join(list(value)[:12])}; give the array alone, or one record a line"
            )
        return lists[0]
    return ""


def _object(data: bytes, name: str) -> dict[str, Any]:
    try:
        return dict(parse(data))
    except Defect as defect:
        raise DataError(f"{name}: {defect.detail}; a file holds one array, or one record a line") from None


def _wrapped(path: Path, name: str, key: str) -> Iterator[Row]:
    with opened(path) as stream:
        for number, record in enumerate(_object(stream.read().removeprefix(BOM), name)[key], 1):
            yield Row(name, number, orjson.dumps(record), "record")


def records(path: Path, name: str, max_line: int) -> Iterator[Row]:
    """The records of a file from outside, from 1; one that is longer than `max_line` is never held as a whole."""
    number = 0

    def place() -> str:
        return where(name, number + 1, "record")

    with blamed(name, place, lambda: f"{number} whole records"), opened(path) as stream:
        for data in _cut(stream, max_line, place):
            number += 1
            yield Row(name, number, data, "record")


def _cut(stream: io.BufferedIOBase, max_line: int, place: Any) -> Iterator[bytes | TooLong]:
    """The text between the array's commas."""
    cut = _Cut(max_line)
    while chunk := stream.read(CHUNK):
        yield from cut.feed(chunk)
        if cut.wrong:
            raise DataError(f"{place()}: {cut.wrong}")
    if not cut.done:
        raise DataError(f"{place()}: the file ends before its array does; get it again")


class _Cut:
    """Where in the array the stream is, and the record that it is in."""

    def __init__(self, max_line: int) -> None:
        self.done = False
        self.wrong = ""
        self._depth = 0
        self._string = self._escaped = False
        self._after_comma = False
        self._piece = _Piece(max_line)
        self._new = lambda: _Piece(max_line)

    def feed(self, chunk: bytes) -> Iterator[bytes | TooLong]:
        at = 0
        if self._depth == 0 and not self.done:
            at = self._open(chunk)
        if self._escaped:
            self._escaped, start = False, at
            at += 1
        else:
            start = at
        while not self.done and not self.wrong:
            found = (_INSIDE if self._string else _OUTSIDE).search(chunk, at)
            if found is None:
                self._piece.add(chunk[start:])
                return
            at, byte = found.end(), found[0]
            if byte == b"\\":
                self._escaped = at == len(chunk)
                at += 1
            elif byte == b'"':
                self._string = not self._string
            elif self._ends(byte):
                self._piece.add(chunk[start : found.start()])
                start = at
                if not self.done or self._piece or self._after_comma:
                    self._after_comma = byte == b","
                    piece, self._piece = self._piece, self._new()
                    yield piece.whole()
        if self.done and not self.wrong and (more := chunk[at:].strip()):
            self.wrong = f"the array ended before it, and more follows: {more[:20]!r}; a file holds one array"

    def _open(self, chunk: bytes) -> int:
        """Behind the bracket that opens the array."""
        blank = len(chunk) - len(chunk.removeprefix(BOM).lstrip())
        if chunk[blank : blank + 1] == b"[":
            self._depth = 1
            return blank + 1
        if blank < len(chunk):
            self.wrong = "the file does not begin with an array ([); kind: jsonl reads one record a line"
        return len(chunk)

    def _ends(self, byte: bytes) -> bool:
        """Whether a record ends with this mark."""
        if byte in (b"{", b"["):
            self._depth += 1
            return False
        if byte == b",":
            return self._depth == 1
        if self._depth > 1:
            self._depth -= 1
            return False
        self.done = byte == b"]"
        if not self.done:
            self.wrong = "a } closes nothing"
        return self.done


class _Piece:
    """The bytes of a record so far, or their size and hash once there are too many."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = bytearray()
        self._size = 0
        self._digest: Any = None

    def __bool__(self) -> bool:
        return self._size > 0

    def add(self, data: bytes) -> None:
        data = data if self._size else data.lstrip()
        self._size += len(data)
        if self._digest is None:
            self._bytes += data
            if len(self._bytes.rstrip()) > self._limit:
                self._digest, self._bytes = blake2b(self._bytes, digest_size=32), bytearray()
        else:
            self._digest.update(data)

    def whole(self) -> bytes | TooLong:
        if self._digest is not None:
            return TooLong(self._size, self._digest.hexdigest())
        return bytes(self._bytes.strip())
