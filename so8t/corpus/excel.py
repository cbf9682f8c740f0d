"""Sheets of Excel and OpenDocument, read by calamine: .xlsx, .xls, .xlsb and .ods."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from so8t.corpus import tables
from so8t.corpus.rows import Row, Rows
from so8t.errors import DataError, MissingExtra

MAGIC = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


def rows(path: Path, name: str, sheet: str | None) -> Rows:
    """One sheet as a source gives it, the first if none is named; its first row names the columns."""
    try:
        import python_calamine as calamine
    except ImportError:
        raise MissingExtra("python-calamine", "collect", f"reading {name}") from None
    try:
        with calamine.CalamineWorkbook.from_path(path) as book:
            sheets = list(book.sheet_names)
            if sheet is not None and sheet not in sheets:
                raise DataError(f"{name}: there is no sheet {sheet!r}; the sheets are {', '.join(sheets)}")
            first, *cells = book.get_sheet_by_name(sheet or sheets[0]).to_python(skip_empty_area=True) or [[]]
    except (calamine.CalamineError, OSError) as error:
        raise DataError(f"{name}: cannot read: {error}") from error
    names = tables.header(name, first)
    return Rows(
        (name,),
        _numbered(name, cells),
        lambda found: tables.parse(tables.row_of(names, found)),
        tables.raw,
        read_as={name: f"the sheet {sheet or sheets[0]} of {', '.join(sheets)}"},
    )


def _numbered(name: str, cells: Sequence[Sequence[Any]]) -> Iterator[Row]:
    for number, row in enumerate(cells, 1):
        yield Row(name, number, b"" if tables.is_blank(row) else row, "record")
