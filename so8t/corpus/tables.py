"""What all tables share: a row is an object by the names of its columns, and a number in it is read as text."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import orjson

from so8t.corpus.rows import Defect
from so8t.errors import DataError


def parse(row: Mapping[str, Any]) -> dict[str, Any]:
    """A column has one type in a table, so that a column of texts that look like numbers becomes one of numbers."""
    return {name: as_text(value) for name, value in row.items()}


def as_text(value: Any) -> Any:
    """A number, date or truth value as people write it; nothing for what is no number; the rest as it is."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime):
        return (value.date() if value.time() == time() and value.tzinfo is None else value).isoformat()
    if isinstance(value, int | Decimal | date | time | timedelta):
        return str(value)
    return value


def raw(row: Any) -> dict[str, str]:
    """A row as it can stand in a JSON record; what JSON cannot hold is named by its type."""
    data = orjson.dumps(row, default=lambda value: f"<{type(value).__name__}>", option=orjson.OPT_NON_STR_KEYS)
    return {"raw": data.decode("utf-8")}


# ---- rows as lists of cells, under a header ------------------------------------------------------------------


def header(name: str, cells: Sequence[Any]) -> list[str]:
    """The names of the columns; a column without one is not read."""
    names = [str(as_text(cell) or "").strip() for cell in cells]
    if not any(names):
        raise DataError(f"{name}: the first row is empty; it must name the columns")
    if twice := [each for each, count in Counter(filter(None, names)).items() if count > 1]:
        raise DataError(f"{name}: two columns are called {twice[0]!r}; give each its own name")
    return names


def row_of(names: Sequence[str], cells: Sequence[Any]) -> dict[str, Any]:
    """The row by its columns' names; empty cells at its end are no harm."""
    more = [cell for cell in cells[len(names) :] if cell not in (None, "")]
    if more or len(cells) < len(names):
        raise Defect("wrong columns", f"the row has {len(cells)} cells, and the first row names {len(names)} columns")
    return {name: cell for name, cell in zip(names, cells, strict=False) if name}


def is_blank(cells: Sequence[Any]) -> bool:
    return all(cell in (None, "") for cell in cells)
