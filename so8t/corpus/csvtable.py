"""CSV and TSV files that others wrote: any charset, the delimiter of the first line, a defect for each bad row."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from so8t.corpus import charsets, tables
from so8t.corpus.opened import blamed, opened
from so8t.corpus.rows import Defect, Row, Rows, where
from so8t.errors import DataError

_SEP = re.compile(r"\ufeff?\"?sep=(.)\"?", re.IGNORECASE)  # Excel's own way to say by what cells are parted
_NAMES = {",": "commas", "\t": "tabs", ";": "semicolons", "|": "bars"}


def rows(path: Path, name: str, max_line: int, encoding: str | None, delimiter: str | None) -> Rows:
    """The file as a source gives it; its first row names the columns."""
    with blamed(name, lambda: name, lambda: "0 whole records"):
        charset = charsets.Charset(encoding, "the spec says so") if encoding else charsets.find(path)
        first = _first_line(path, charset.name)
        told = _SEP.fullmatch(first.rstrip("\r\n"))
        mark = delimiter or (told[1] if told else _delimiter(first))
    csv.field_size_limit(max_line)
    said = f"a table in {charset.name} ({charset.why}), its cells parted by {_NAMES.get(mark, repr(mark))}"
    found = _Table(path, name, charset.name, mark, skips=told is not None)
    return Rows((name,), found.rows(), found.parse, _raw, read_as={name: said})


class _Table:
    """One file; the header is read with its rows, behind the first line if that is a note to Excel."""

    def __init__(self, path: Path, name: str, encoding: str, delimiter: str, skips: bool) -> None:
        self._path, self._name, self._encoding, self._delimiter, self._skips = path, name, encoding, delimiter, skips
        self._names: list[str] = []

    def rows(self) -> Iterator[Row]:
        number = 0

        def place() -> str:
            return where(self._name, number + 1, "record")

        with blamed(self._name, place, lambda: f"{number} whole records"), opened(self._path) as stream:
            text = io.TextIOWrapper(stream, self._encoding, errors="surrogateescape", newline="")
            if self._skips:
                text.readline()
            reader = csv.reader(text, delimiter=self._delimiter, strict=True)
            try:
                self._names = tables.header(self._name, self._first(_next(reader)))
                while (cells := _next(reader)) is not None:
                    number += 1
                    blank = isinstance(cells, list) and tables.is_blank(cells)
                    yield Row(self._name, number, b"" if blank else cells, "record")
            except UnicodeError:  # in a charset whose bytes cannot be told apart after a wrong one, such as UTF-16
                raise DataError(f"{place()}, or soon after it: not {self._encoding}; {charsets.HELP}") from None

    def _first(self, cells: Any) -> Sequence[str]:
        try:
            return self._sound(cells or [])
        except Defect as defect:
            raise DataError(f"{self._name}: the first row: {defect.detail}; {charsets.HELP}") from None

    def parse(self, cells: Any) -> dict[str, Any]:
        return tables.parse(tables.row_of(self._names, self._sound(cells)))

    def _sound(self, cells: list[str] | str) -> list[str]:
        if isinstance(cells, str):
            raise Defect("not CSV", f"not CSV: {cells}")
        if (wrong := charsets.unreadable("\0".join(cells))) is not None:
            raise Defect("wrong charset", f"byte 0x{wrong:02x} has no meaning in {self._encoding}")
        return cells


def _next(reader: Any) -> list[str] | str | None:
    """The cells of the next row, or what is wrong with it; None at the end."""
    try:
        return next(reader, None)
    except csv.Error as error:
        return str(error)


def _raw(cells: Any) -> dict[str, str]:
    """The cells; bytes that the charset does not have are written as \\x82."""
    found = cells if isinstance(cells, str) else [charsets.shown(cell) for cell in cells]
    return tables.raw(found)


def _first_line(path: Path, encoding: str) -> str:
    with opened(path) as stream:
        return io.TextIOWrapper(stream, encoding, errors="replace").readline(1 << 16)


def _delimiter(line: str) -> str:
    """The mark that parts most cells of the header; in quotes it does not count."""
    outside = "".join(line.split('"')[::2])
    return max(_NAMES, key=outside.count)
