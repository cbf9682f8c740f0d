"""One declared source -> records and quarantined lines, and a tally in which every line has its place."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import IO, Any

from so8t.corpus.declared import Declared, provenance
from so8t.corpus.mapping import content, identify
from so8t.corpus.rows import Defect, Rows
from so8t.errors import DataError, StageError
from so8t.formats.records import LABELS, line


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


def ingest(source: Declared, found: Rows, strict: bool, kept: IO[bytes], aside: IO[bytes]) -> Tally:
    """Write the source's records to `kept` and, unless strict, its unusable lines to `aside`."""
    tally = Tally(files=dict.fromkeys(found.files, 0))
    convert, origin = content(source), provenance(source)
    for file, number, data in found.rows:
        tally.files[file] = number
        if data == b"":
            tally.blank += 1
            continue
        if tally.records == source.limit:
            tally.beyond_limit += 1
            if found.counts_beyond:
                continue
            break
        try:
            ours = convert(found.parse(data))
            ours = {"id": identify(ours), **ours}
        except Defect as defect:
            if strict:
                raise DataError(
                    f"{file}:{number}: {defect.detail}; fix the line, or set bad_input: quarantine"
                ) from None
            tally.quarantined[defect.reason] += 1
            aside.write(line(_aside(source, file, number, defect) | found.raw(data)))
            continue
        ours["source"] = origin(file, number)
        kept.write(line(ours))
        tally.records += 1
        tally.labels[ours.get("label", "none")] += 1
    tally.check(source.name)
    return tally


def _aside(source: Declared, file: str, number: int, defect: Defect) -> dict[str, Any]:
    return {
        "source": {"name": source.name, "file": file},
        "line": number,
        "reason": defect.reason,
        "detail": defect.detail,
    }
