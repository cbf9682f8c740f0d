"""Cleaned records, set aside on disk while duplicates are looked for, then parted: some stay, some go."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from so8t.corpus import duplicates
from so8t.corpus.cleaning import Drop, dropped, is_held_out, parts_to_compare
from so8t.corpus.duplicates import Found
from so8t.corpus.neardup import Duplicate, Parts, Settings
from so8t.corpus.sketches import Marks
from so8t.formats import records
from so8t.formats.records import Record
from so8t.stream.columns import Columns

if TYPE_CHECKING:
    from numpy import uint64
    from numpy.typing import NDArray


class Outcome(NamedTuple):
    """One record behind the chain: its line, or the line that says why it left."""

    line: bytes
    record: Record | None = None  # None: it left


class Sifted(NamedTuple):
    """The outcomes of a range of lines, as few values that pass quickly from one process to another."""

    lines: bytes
    sizes: array[int]
    kinds: bytes  # of each line: 0 left, 1 stays, 2 stays and is held out
    marks: NDArray[uint64]


class Sifter:
    """From outcomes to what is kept of them while duplicates are looked for; few are in memory at once."""

    def __init__(self, settings: Settings) -> None:
        self._marks = Marks(settings)

    def __call__(self, outcomes: Iterable[Outcome]) -> Sifted:
        import numpy as np

        lines, kinds, parts = bytearray(), bytearray(), list[Parts]()
        sizes = array("Q")
        for outcome in outcomes:
            lines += outcome.line
            sizes.append(len(outcome.line))
            kinds.append(0 if outcome.record is None else 1 + is_held_out(outcome.record))
            if outcome.record is not None and self._marks.width:
                parts.append(parts_to_compare(outcome.record))
        marks = np.zeros((len(kinds), self._marks.width), np.uint64)
        if parts:
            marks[np.frombuffer(kinds, np.uint8) > 0] = self._marks(parts)
        return Sifted(bytes(lines), sizes, bytes(kinds), marks)


class Spool:
    """Outcomes in the order of the input, in a folder that is the caller's to remove; 9 bytes of each are in memory."""

    def __init__(self, folder: Path, settings: Settings) -> None:
        self._settings, self._folder = settings, folder
        self._ends = array("Q", [0])
        self._kinds = bytearray()
        with ExitStack() as stack:
            self._marks = stack.enter_context(Columns(folder / "marks", Marks(settings).width))
            self._file = stack.enter_context((folder / "lines.jsonl").open("w+b"))
            self._stack = stack.pop_all()

    def __enter__(self) -> Spool:
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def __len__(self) -> int:
        return len(self._kinds)

    def extend(self, sifted: Sifted) -> None:
        self._file.write(sifted.lines)
        self._kinds += sifted.kinds
        self._marks.extend(sifted.marks)
        end = self._ends[-1]
        for size in sifted.sizes:
            end += size
            self._ends.append(end)

    def duplicates(self) -> Found:
        """Among the rows that stay, held-out ones first: a training record must not repeat a test."""
        import numpy as np

        kinds = np.frombuffer(bytes(self._kinds), np.uint8)
        rows = np.concatenate([np.flatnonzero(kinds == wanted) for wanted in (2, 1)])
        return duplicates.find(self._marks, rows, self.parts, self._settings, self._folder / "near")

    def kept(self, row: int) -> bool:
        return self._kinds[row] > 0

    def line(self, row: int) -> bytes:
        self._file.seek(self._ends[row])
        return self._file.read(self._ends[row + 1] - self._ends[row])

    def record(self, row: int) -> Record:
        record: Record = orjson.loads(self.line(row))
        return record

    def parts(self, row: int) -> Parts:
        return parts_to_compare(self.record(row))


def part(spool: Spool, repeated: Mapping[int, Duplicate], cleaned: Path, gone: Path) -> dict[str, Any]:
    """Write both files in the order of the input and return what was counted on the way."""
    reasons, kinds, categories = Counter[str](), Counter[str](), Counter[str]()
    kept = 0
    with cleaned.open("wb", buffering=1 << 20) as staying, gone.open("wb", buffering=1 << 20) as leaving:
        for row in range(len(spool)):
            line = spool.line(row)
            record = orjson.loads(line)
            if spool.kept(row) and row not in repeated:
                staying.write(line)
                kept += 1
                kinds.update(record.get("pii", {}))
                categories.update(record.get("harm", ()))
                continue
            if row in repeated:
                record = dropped(record, _as_drop(repeated[row], spool))
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
