"""No near-duplicate across splits: the split that is held out keeps the record, the other one loses it.

Only held-out records are indexed (about 1.3 kB each), whatever the size of train; LSH proposes, true Jaccard decides.
A record is compared with all of the splits that precede its own, also with those that lose their place themselves:
that errs on the side of dropping, and makes the result independent of the order of records.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import orjson
from rensa import RMinHash, RMinHashLSH

from so8t.data.neardup import Parts, Settings, comparable, gram_sets, similarity, tagged_grams
from so8t.data.records import Record
from so8t.data.splits import STANDARD, Splitter

_REMEMBERED = 1024  # held-out texts whose n-grams are kept for the next question


def precedence(names: Iterable[str]) -> list[str]:
    """Who keeps a record that two splits want: pinned tests by name, then test, validation, train."""
    return [*sorted(set(names) - set(STANDARD)), "test", "validation", "train"]


class HeldOut:
    """The held-out records of one file, and the question which of them a record of a later split resembles."""

    def __init__(self, labelled: Path, splitter: Splitter, threshold: float) -> None:
        self._settings = Settings(threshold=threshold)
        self._threshold = threshold
        self._lsh = RMinHashLSH(threshold, self._settings.permutations, self._settings.bands)
        self._offsets = array("Q")  # LSH key -> where the record's line begins
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
        offset = 0
        with labelled.open("rb", buffering=1 << 20) as lines:
            for line in lines:
                record = orjson.loads(line)
                if (split := splitter(record)) != "train":
                    self._lsh.insert(len(self._offsets), self._sketch(compared(record)))
                    self._offsets.append(offset)
                    self._splits.append(split)
                offset += len(line)

    def like(self, record: Record) -> str | None:
        """The id of a similar record in a split that precedes this record's, the lowest line first."""
        parts, rank = compared(record), self._rank[record["split"]]
        grams = None
        for key in sorted(self._lsh.query(self._sketch(parts))):
            if self._rank[self._splits[key]] >= rank:
                continue
            grams = grams or gram_sets(parts, self._settings.ngram)
            if similarity(grams, self._grams(key)) >= self._threshold:
                found: str = self._read(key)["id"]
                return found
        return None

    def _sketch(self, parts: Parts) -> RMinHash:
        settings = self._settings
        return RMinHash.from_token_sets([tagged_grams(parts, settings.ngram)], settings.permutations, settings.seed)[0]

    def _read_grams(self, key: int) -> tuple[frozenset[str], ...]:
        return gram_sets(compared(self._read(key)), self._settings.ngram)

    def _read(self, key: int) -> Record:
        self._file.seek(self._offsets[key])
        record: Record = orjson.loads(self._file.readline())
        return record


def compared(record: Record) -> Parts:
    """The user's text alone: the same question in another conversation still gives a test away."""
    return (comparable(record["text"]),)
