"""No near-duplicate across splits: the split that is held out keeps the record, the other one loses it.

Only held-out records are indexed (about 600 bytes each, and 400 more while their keys are sorted), whatever the size
of train; LSH proposes, true Jaccard decides.
A record is compared with all of the splits that precede its own, also with those that lose their place themselves:
that errs on the side of dropping, and makes the result independent of the order of records.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from so8t.corpus.neardup import Grams, Settings, comparable, gram_sets, similarity
from so8t.corpus.sketches import band_keys, batches, of_sets
from so8t.corpus.splits import STANDARD, Splitter
from so8t.formats.records import Record

if TYPE_CHECKING:
    from numpy import uint32
    from numpy.typing import NDArray

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
        self._file = labelled.open("rb")
        self._grams = lru_cache(_REMEMBERED)(self._read_grams)
        self._index(labelled, splitter)

    def __enter__(self) -> HeldOut:
        return self

    def __exit__(self, *failure: object) -> None:
        self._file.close()

    def _index(self, labelled: Path, splitter: Splitter) -> None:
        import numpy as np

        self._offsets = array("Q")  # of each held-out record: where its line begins
        names, codes, rows = dict[str, int](), array("Q"), [np.zeros((0, self._settings.permutations), np.uint32)]
        for batch in batches(_held_out(labelled, splitter), _FEW):
            rows.append(self._sketched([self._gram_sets(record) for _, _, record in batch]))
            for offset, split, _ in batch:
                self._offsets.append(offset)
                codes.append(names.setdefault(split, len(names)))
        self._rank = {name: place for place, name in enumerate(precedence(names))}
        self._ranks = np.array([self._rank[name] for name in names], np.uint16)[np.array(codes, np.intp)]
        self._sketches = np.concatenate(rows)
        keys = band_keys(self._sketches, self._settings.bands).ravel()
        order = np.argsort(keys)
        self._keys = keys[order]
        order //= self._settings.bands
        self._owners = order.astype(np.uint32)  # whose key it is

    def alike(self, records: Iterable[Record]) -> Iterator[tuple[Record, str | None]]:
        """Each record with the id of a similar one in a split that precedes its own, the first in the file."""
        for batch in batches(records, _FEW):
            grams = [self._gram_sets(record) for record in batch]
            sketches = self._sketched(grams)
            proposed = self._proposed(sketches)
            for place, (record, mine) in enumerate(zip(batch, grams, strict=True)):
                yield record, self._like(record["split"], mine, sketches[place], proposed.get(place, []))

    def _sketched(self, grams: Sequence[Grams]) -> NDArray[uint32]:
        return of_sets(grams, self._settings)

    def _proposed(self, sketches: NDArray[uint32]) -> dict[int, list[NDArray[uint32]]]:
        """By the place of a sketch, the held-out records that share a band with it, for each such band."""
        import numpy as np

        keys = band_keys(sketches, self._settings.bands).ravel()
        first = np.searchsorted(self._keys, keys)
        hits = np.flatnonzero(np.take(self._keys, first, mode="clip") == keys) if len(self._keys) else ()
        found: dict[int, list[NDArray[uint32]]] = {}
        for hit in hits:
            end = np.searchsorted(self._keys, keys[hit], "right")
            found.setdefault(int(hit) // self._settings.bands, []).append(self._owners[first[hit] : end])
        return found

    def _like(self, split: str, mine: Grams, sketch: NDArray[uint32], proposed: list[NDArray[uint32]]) -> str | None:
        import numpy as np

        if not proposed:
            return None
        numbers = np.unique(np.concatenate(proposed))
        numbers = numbers[self._ranks[numbers] < self._rank[split]]
        for start in range(0, len(numbers), _REMEMBERED):
            some = numbers[start : start + _REMEMBERED]
            estimates = (self._sketches[some] == sketch).sum(axis=1) / self._settings.permutations
            for number in some[estimates >= self._hopeless].tolist():
                if similarity(mine, self._grams(number)) >= self._threshold:
                    found: str = self._read(number)["id"]
                    return found
        return None

    def _gram_sets(self, record: Record) -> Grams:
        """Of the user's text alone: the same question in another conversation still gives a test away."""
        return gram_sets((comparable(record["text"]),), self._settings.ngram)

    def _read_grams(self, number: int) -> Grams:
        return self._gram_sets(self._read(number))

    def _read(self, number: int) -> Record:
        self._file.seek(self._offsets[number])
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
