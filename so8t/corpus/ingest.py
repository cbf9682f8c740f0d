"""One declared source -> records and quarantined lines, and a tally in which every line has its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

from so8t.corpus import hub, jsonl
from so8t.corpus.mapping import content, identify
from so8t.corpus.sources import DatasetsSource, Declared, provenance
from so8t.engine.stage import Source
from so8t.errors import DataError, StageError
from so8t.formats.records import LABELS, line


class Row(NamedTuple):
    """A line of a file or a row of a dataset; `data` is b"" for a blank line."""

    file: str
    number: int
    data: Any


@dataclass(frozen=True)
class Door:
    """How rows of one kind are read, understood, and kept aside."""

    names: tuple[str, ...]
    rows: Iterable[Row]
    parse: Callable[[Any], Any]
    raw: Callable[[Any], dict[str, Any]]
    counts_beyond: bool  # whether it is cheap to count what lies beyond the limit


@dataclass
class Tally:
    """Where the lines of a source went."""

    files: dict[str, int] = field(default_factory=dict)  # file -> its lines
    records: int = 0
    blank: int = 0
    beyond_limit: int = 0
    quarantined: Counter[str] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)

    @property
    def lines(self) -> int:
        return sum(self.files.values())

    @property
    def aside(self) -> int:
        return sum(self.quarantined.values())

    def check(self, source: str) -> None:
        """The readers number the lines, the tally counts what became of them: both must agree."""
        placed = self.records + self.blank + self.aside + self.beyond_limit
        if self.lines != placed:
            raise StageError(f"source {source}: {self.lines} lines were read, but {placed} are accounted for")

    def plain(self) -> dict[str, Any]:
        return {
            "lines": self.lines,
            "records": self.records,
            "blank": self.blank,
            "quarantined": dict(sorted(self.quarantined.items())),
            "beyond_limit": self.beyond_limit,
            "labels": {label: self.labels[label] for label in (*LABELS, "none") if self.labels[label]},
            "files": self.files,
        }


def open_door(source: Declared, files: Sequence[Source], scratch: Path, max_line: int) -> Door:
    """The door that a source's rows come through."""
    names = tuple(file.name for file in files)
    if not isinstance(source, DatasetsSource):
        return Door(names, _jsonl(files, max_line), jsonl.parse, jsonl.raw, counts_beyond=True)
    rows = _dataset(source, files, scratch)
    if source.repo is None:
        return Door(names, rows, _as_it_is, hub.raw, counts_beyond=True)
    return Door((hub.where(source),), rows, _as_it_is, hub.raw, counts_beyond=False)


def _as_it_is(row: Any) -> Any:
    return row


def ingest(source: Declared, door: Door, strict: bool, kept: IO[bytes], aside: IO[bytes]) -> Tally:
    """Write the source's records to `kept` and, unless strict, its unusable lines to `aside`."""
    tally = Tally(files=dict.fromkeys(door.names, 0))
    convert, origin = content(source), provenance(source)
    for file, number, data in door.rows:
        tally.files[file] = number
        if data == b"":
            tally.blank += 1
            continue
        if tally.records == source.limit:
            tally.beyond_limit += 1
            if door.counts_beyond:
                continue
            break
        try:
            ours = convert(door.parse(data))
            ours = {"id": identify(ours), **ours}
        except jsonl.Defect as defect:
            if strict:
                raise DataError(
                    f"{file}:{number}: {defect.detail}; fix the line, or set bad_input: quarantine"
                ) from None
            tally.quarantined[defect.reason] += 1
            aside.write(line(_aside(source, file, number, defect) | door.raw(data)))
            continue
        ours["source"] = origin(file, number)
        kept.write(line(ours))
        tally.records += 1
        tally.labels[ours.get("label", "none")] += 1
    tally.check(source.name)
    return tally


def _aside(source: Declared, file: str, number: int, defect: jsonl.Defect) -> dict[str, Any]:
    return {
        "source": {"name": source.name, "file": file},
        "line": number,
        "reason": defect.reason,
        "detail": defect.detail,
    }


def _jsonl(files: Iterable[Source], max_line: int) -> Iterator[Row]:
    for file in files:
        for number, data in jsonl.lines(file.path, file.name, max_line):
            yield Row(file.name, number, data)


def _dataset(source: DatasetsSource, files: Iterable[Source], scratch: Path) -> Iterator[Row]:
    if source.repo is not None:
        for number, row in hub.rows(source, None, scratch):
            yield Row(hub.where(source), number, row)
    for file in files:
        for number, row in hub.rows(source, file.path, scratch):
            yield Row(file.name, number, row)
