"""Cleaned records, set aside on disk while duplicates are looked for, then parted: some stay, some go."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import orjson

from so8t.corpus.cleaning import Drop, dropped, parts_to_compare
from so8t.corpus.neardup import Duplicate, Parts
from so8t.formats import records
from so8t.formats.records import Record


class Outcome(NamedTuple):
    """One record behind the chain: its line, or the line that says why it left."""

    line: bytes
    kept: bool
    held_out: bool = False


class Spool:
    """Outcomes in the order of the input, in a file; in memory are 9 bytes a record."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._ends = array("Q", [0])
        self._outcomes = bytearray()  # 0 left, 1 stays, 2 stays and is held out

    def __len__(self) -> int:
        return len(self._outcomes)

    def append(self, outcome: Outcome) -> None:
        self._file.write(outcome.line)
        self._ends.append(self._ends[-1] + len(outcome.line))
        self._outcomes.append(outcome.kept + (outcome.kept and outcome.held_out))

    def by_precedence(self) -> Iterator[int]:
        """The rows that stay, held-out ones first: a training record must not repeat a test."""
        for wanted in (2, 1):
            yield from (row for row, outcome in enumerate(self._outcomes) if outcome == wanted)

    def kept(self, row: int) -> bool:
        return self._outcomes[row] > 0

    def line(self, row: int) -> bytes:
        self._file.seek(self._ends[row])
        return self._file.read(self._ends[row + 1] - self._ends[row])

    def record(self, row: int) -> Record:
        record: Record = orjson.loads(self.line(row))
        return record

    def parts(self, row: int) -> Parts:
        return parts_to_compare(self.record(row))


def part(spool: Spool, duplicates: Mapping[int, Duplicate], cleaned: Path, gone: Path) -> dict[str, Any]:
    """Write both files in the order of the input and return what was counted on the way."""
    reasons, kinds, categories = Counter[str](), Counter[str](), Counter[str]()
    kept = 0
    with cleaned.open("wb", buffering=1 << 20) as staying, gone.open("wb", buffering=1 << 20) as leaving:
        for row in range(len(spool)):
            line = spool.line(row)
            record = orjson.loads(line)
            if spool.kept(row) and row not in duplicates:
                staying.write(line)
                kept += 1
                kinds.update(record.get("pii", {}))
                categories.update(record.get("harm", ()))
                continue
            if row in duplicates:
                record = dropped(record, _as_drop(duplicates[row], spool))
                line = records.line(record)
            leaving.write(line)
            reasons[record["reason"]] += 1
    return {
        "in": len(spool),
        "out": kept,
        "dropped": dict(sorted(reasons.items())),
        "pii": dict(sorted(kinds.items())),
        "harm": dict(sorted(categories.items())),
    }


def _as_drop(duplicate: Duplicate, spool: Spool) -> Drop:
    of = spool.record(duplicate.of)["id"]
    if duplicate.jaccard is None:
        return Drop("exact_duplicate", {"of": of})
    return Drop("near_duplicate", {"of": of, "jaccard": round(duplicate.jaccard, 3)})
