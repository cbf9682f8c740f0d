"""No near-duplicate across splits: the split that is held out keeps the record, the other one loses it.

Only held-out records are indexed (about 1.5 kB each), whatever the size of train; LSH proposes, true Jaccard decides.
A record is compared with all of the splits that precede its own, also with those that lose their place themselves:
that errs on the side of dropping, and makes the result independent of the order of records.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from so8t.corpus.neardup import Grams, Settings, batches, comparable, gram_sets, new_lsh, similarity, sketch_all
from so8t.corpus.splits import STANDARD, Splitter
from so8t.formats.records import Record

if TYPE_CHECKING:
    from rensa import RMinHash

_FEW = 64  # records in memory at once
_MARGIN = 0.2  # a sketch of 96 numbers estimates 0.8 with a deviation of 0.04: nothing near lies 5 of them lower
_REMEMBERED = 256  # held-out texts whose n-grams are kept for the next question


def precedence(names: Iterable[str]) -> list[str]:
    """Who keeps a record that two splits want: pinned tests by name, then test, validation, train."""
    return [*sorted(set(names) - set(STANDARD)), "test", "validation", "train"]


class HeldOut:
    """The held-out records of one file, and the question which of them a record of a later split resembles."""

    def __init__(self, labelled: Path, splitter: Splitter, threshold: float) -> None:
        self._settings = Settings(threshold=threshold)
        self._threshold = threshold
        self._hopeless = threshold - _MARGIN
        self._lsh = new_lsh(self._settings)
        self._offsets = array("Q")  # LSH key -> where the record's line begins
        self._held_out: list[RMinHash] = []
        self._splits: list[str] = []
        self._file = labelled.open("rb")
        self._grams = lru_cache(_REMEMBERED)(self._read_grams)
        self._index(labelled, splitter)
        self._rank = {name: place for place, name in enumerate(precedence(self._splits))}

    def __enter__(self) -> HeldOut:
        return self

    def __exit__(self, *failure: object) -> None:
        self._file.close()

    def _index(self, labelled: Path, splitter: Splitter) -> None:
        for batch in batches(_held_out(labelled, splitter), _FEW):
            sketches = sketch_all([self._gram_sets(record) for _, _, record in batch], self._settings)
            for (offset, split, _), sketch in zip(batch, sketches, strict=True):
                self._lsh.insert(len(self._offsets), sketch)
                self._held_out.append(sketch)
                self._offsets.append(offset)
                self._splits.append(split)

    def alike(self, records: Iterable[Record]) -> Iterator[tuple[Record, str | None]]:
        """Each record with the id of a similar one in a split that precedes its own, the first in the file."""
        for batch in batches(records, _FEW):
            grams = [self._gram_sets(record) for record in batch]
            for record, mine, sketch in zip(batch, grams, sketch_all(grams, self._settings), strict=True):
                yield record, self._like(record["split"], mine, sketch)

    def _like(self, split: str, mine: Grams, sketch: RMinHash) -> str | None:
        rank = self._rank[split]
        for key in sorted(self._lsh.query(sketch)):
            if self._rank[self._splits[key]] >= rank or sketch.jaccard(self._held_out[key]) < self._hopeless:
                continue
            if similarity(mine, self._grams(key)) >= self._threshold:
                found: str = self._read(key)["id"]
                return found
        return None

    def _gram_sets(self, record: Record) -> Grams:
        """Of the user's text alone: the same question in another conversation still gives a test away."""
        return gram_sets((comparable(record["text"]),), self._settings.ngram)

    def _read_grams(self, key: int) -> Grams:
        return self._gram_sets(self._read(key))

    def _read(self, key: int) -> Record:
        self._file.seek(self._offsets[key])
        record: Record = orjson.loads(self._file.readline())
        return record


def _held_out(labelled: Path, splitter: Splitter) -> Iterator[tuple[int, str, Record]]:
    """Where each held-out record's line begins, its split, and the record."""
    offset = 0
    with labelled.open("rb", buffering=1 << 20) as lines:
        for line in lines:
            record = orjson.loads(line)
            if (split := splitter(record)) != "train":
                yield offset, split, record
            offset += len(line)
