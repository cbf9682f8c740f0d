"""Rows of data from outside as every kind of source gives them, and why one cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Unit = Literal["line", "record"]  # what is numbered: the lines of a text, or the records of a table or an array
_SAID = 300


class Defect(Exception):
    """Why a line or a record cannot be used: `reason` to count it under, `detail` to correct it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail if len(detail) <= _SAID else detail[:_SAID] + "…"  # it may quote a key of any length


class Row(NamedTuple):
    """A line of a file or a record of a table; `data` is b"" for a blank one."""

    file: str
    number: int
    data: Any
    unit: Unit = "line"

    @property
    def place(self) -> str:
        return where(self.file, self.number, self.unit)


def where(file: str, number: int, unit: Unit) -> str:
    """How messages call it: `a.jsonl:17`, as compilers do, or `a.csv: record 17`."""
    return f"{file}:{number}" if unit == "line" else f"{file}: record {number}"


@dataclass(frozen=True)
class Rows:
    """The rows of a source: where they lie, how one is understood, and what of one is kept aside."""

    files: tuple[str, ...]
    rows: Iterable[Row]
    parse: Callable[[Any], Any]  # its value, or a Defect
    raw: Callable[[Any], dict[str, Any]]  # what is kept aside of a row that cannot be used
    counts_beyond: bool = True  # whether it is cheap to count what lies beyond the limit
    origin: Callable[[Any], dict[str, Any]] = lambda data: {}  # what provenance says of one row alone
    read_as: Mapping[str, str] = field(default_factory=dict)  # file -> how it is read and why, where that was found out
