"""One declared source -> records and quarantined lines, and a tally in which every line has its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from typing import IO, Any

from so8t.corpus import formats
from so8t.corpus.declared import Declared, provenance
from so8t.corpus.mapping import content, identify
from so8t.corpus.rows import Defect, Row, Rows, Unit
from so8t.errors import DataError, StageError
from so8t.formats.records import LABELS, line


@dataclass
class Tally:
    """Where the lines of a source went."""

    files: dict[str, int] = field(default_factory=dict)  # file -> its lines
    records: int = 0
    blank: int = 0
    beyond_limit: int = 0
    refused: int = 0  # their sites said no since
    quarantined: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    unit: Unit = "line"
    format: str = ""  # that the first records showed
    read_as: dict[str, str] = field(default_factory=dict)  # what was found out about the files, and the records in them

    @property
    def lines(self) -> int:
        return sum(self.files.values())

    @property
    def aside(self) -> int:
        return sum(self.quarantined.values())

    def check(self, source: str) -> None:
        """The readers number the lines, the tally counts what became of them: both must agree."""
        placed = self.records + self.blank + self.aside + self.beyond_limit + self.refused
        if self.lines != placed:
            raise StageError(f"source {source}: {self.lines} lines were read, but {placed} are accounted for")

    def plain(self) -> dict[str, Any]:
        return {
            "lines": self.lines,
            "records": self.records,
            "blank": self.blank,
            "quarantined": dict(sorted(self.quarantined.items())),
            "beyond_limit": self.beyond_limit,
            **({"refused": self.refused} if self.refused else {}),
            "labels": {label: self.labels[label] for label in (*LABELS, "none") if self.labels[label]},
            "files": self.files,
            **({"read_as": self.read_as} if self.read_as else {}),
        }


def ingest(
    source: Declared,
    found: Rows,
    strict: bool,
    kept: IO[bytes],
    aside: IO[bytes],
    refused: Container[str] = frozenset(),
) -> Tally:
    """Write the source's records to `kept` and, unless strict, its unusable lines to `aside`.

    A record from one of the URLs in `refused` is left out.
    """
    tally = Tally(files=dict.fromkeys(found.files, 0), read_as=dict(found.read_as))
    source, rows = _understood(source, found, tally)
    convert, origin = content(source), provenance(source)
    for row in rows:
        tally.files[row.file], tally.unit = row.number, row.unit
        if row.data == b"":
            tally.blank += 1
            continue
        if tally.records == source.limit:
            tally.beyond_limit += 1
            if found.counts_beyond:
                continue
            break
        try:
            ours = convert(found.parse(row.data))
            ours = {"id": identify(ours), **ours}
        except Defect as defect:
            if strict:
                raise DataError(
                    f"{row.place}: {defect.detail}; fix the {row.unit}, or set bad_input: quarantine"
                ) from None
            tally.quarantined[defect.reason] += 1
            aside.write(line(_aside(source, row, defect) | found.raw(row.data)))
            continue
        ours["source"] = origin(row.file, row.number, row.unit) | found.origin(row.data)
        if ours["source"].get("url") in refused:
            tally.refused += 1
            continue
        kept.write(line(ours))
        tally.records += 1
        tally.labels[ours.get("label", "none")] += 1
    tally.read_as = {**found.read_as, **tally.read_as}  # of archives, it is known now
    tally.check(source.name)
    return tally


def _understood(source: Declared, found: Rows, tally: Tally) -> tuple[Declared, Iterator[Row]]:
    """The source with the fields that its first records show, and all of its rows."""
    rows = iter(found.rows)
    if source.fields:
        return source, rows
    seen: list[Row] = []
    records: list[Mapping[str, Any]] = []
    while len(records) < formats.LOOKED_AT and len(seen) < 4 * formats.LOOKED_AT and (row := next(rows, None)):
        seen.append(row)
        with suppress(Defect):
            if row.data != b"" and isinstance(value := found.parse(row.data), dict):
                records.append(value)
    decision = formats.decide(source, records)
    tally.format = decision.format
    if decision.said:
        tally.read_as["records"] = decision.said
    return source.model_copy(update={"fields": decision.fields, "format": None}), chain(seen, rows)


def _aside(source: Declared, row: Row, defect: Defect) -> dict[str, Any]:
    return {
        "source": {"name": source.name, "file": row.file},
        row.unit: row.number,
        "reason": defect.reason,
        "detail": defect.detail,
    }
