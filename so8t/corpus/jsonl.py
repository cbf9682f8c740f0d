"""JSONL files that others wrote: every line counted, every defect named, bounded memory.

A line is `Line(number, data)`; `parse` gives its value or raises `Defect`.
A plain file that was cut between two lines looks whole; a compressed one does not, and is an error.
"""

from __future__ import annotations

import base64
import io
import json
from collections import Counter
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from so8t.corpus.opened import CHUNK, blamed, opened
from so8t.corpus.rows import Defect, Row, Rows

BOM = b"\xef\xbb\xbf"
MAX_DEPTH = 254  # orjson reads 1024 levels, but writes no more than these


class TooLong(NamedTuple):
    """What is kept of a line beyond the limit."""

    size: int
    blake2b: str


class Line(NamedTuple):
    number: int
    data: bytes | TooLong  # without BOM and line end; b"" for a blank line


def rows(path: Path, name: str, max_line: int) -> Rows:
    """The file as a source gives it."""
    return Rows((name,), (Row(name, *line) for line in lines(path, name, max_line)), parse, raw)


def lines(path: Path, name: str, max_line: int) -> Iterator[Line]:
    """The lines of a file from outside; `name` is what messages call it."""
    number = 0
    with blamed(name, lambda: f"{name}:{number + 1}", lambda: f"{number} whole lines"), opened(path) as stream:
        while data := stream.readline(max_line + 1):
            number += 1
            if len(data) > max_line and not data.endswith(b"\n"):
                yield Line(number, _skip(stream, data))
                continue
            if number == 1:
                data = data.removeprefix(BOM)
            yield Line(number, data.rstrip())


def parse(data: bytes | TooLong) -> Any:
    """The value of a line, of which nothing was lost or made up on the way."""
    if isinstance(data, TooLong):
        raise Defect("line too long", f"a line of {data.size:,} bytes is longer than max_line")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise _explain(data, error) from None
    try:
        again = orjson.dumps(value)
    except TypeError:
        raise Defect("nested too deep", f"nested deeper than {MAX_DEPTH} levels") from None
    if again != data and _may_repeat_key(data, again):
        json.loads(data, object_pairs_hook=_unique, parse_int=str, parse_float=str)
    return value


def raw(data: bytes | TooLong) -> dict[str, Any]:
    """A line as it can stand in a JSON record: text, base64 if it is not text, size and hash if too long."""
    if isinstance(data, TooLong):
        return {"size": data.size, "blake2b": data.blake2b}
    try:
        return {"raw": data.decode("utf-8")}
    except UnicodeDecodeError:
        return {"raw_base64": base64.b64encode(data).decode("ascii")}


def _may_repeat_key(data: bytes, again: bytes) -> bool:
    """Exact but for colons written as escapes: each key and each ':' in a text is one colon on both sides.

    A pair that the parser dropped for a later one of the same key takes its colon with it.
    """
    return b"\\u003" in data or data.count(b":") != again.count(b":")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise Defect("duplicate key", f"key {twice!r} appears twice")
    return value


def _explain(data: bytes, error: orjson.JSONDecodeError) -> Defect:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as wrong:
        at = wrong.start
        return Defect("invalid UTF-8", f"invalid UTF-8 at byte {at + 1} (0x{data[at]:02x})")
    message, at = error.msg, error.pos
    if text.startswith(("NaN", "Infinity", "-Infinity"), at) or text.startswith("-Infinity", max(at - 1, 0)):
        return Defect("NaN or Infinity", f"NaN or Infinity at character {at + 1}, which JSON does not have")
    if "infinity" in message:
        return Defect("number too large", f"a number too large at character {at + 1}")
    if "surrogate" in message:
        return Defect("lone surrogate", f"a lone surrogate in the text at character {at + 1}")
    if "depth" in message or "recursion" in message.lower():
        return Defect("nested too deep", f"nested deeper than {MAX_DEPTH} levels")
    return Defect("not JSON", f"not JSON: {message} at character {at + 1}")


def _skip(stream: io.BufferedIOBase, start: bytes) -> TooLong:
    """Read on to the line's end and keep only its size and hash."""
    digest, size, data = blake2b(digest_size=32), 0, start
    while data:
        body = data.rstrip(b"\n")
        digest.update(body)
        size += len(body)
        data = b"" if data.endswith(b"\n") else stream.readline(CHUNK)
    return TooLong(size, digest.hexdigest())
