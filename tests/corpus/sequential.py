"""Duplicates found one after the other with rensa's own LSH in memory: what the search on disk must equal."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from itertools import compress, islice
from typing import Any, TypeVar

from rensa import RMinHash, RMinHashLSH

from so8t.corpus.neardup import Duplicate, Grams, Parts, Settings, gram_sets, similarity, tagged
from so8t.corpus.sketches import hash_grams

Read = Callable[[int], Parts]
T = TypeVar("T")

_BULK, _FEW, _REMEMBERED = 256, 16, 64


def find(rows: Iterable[int], read: Read, settings: Settings) -> dict[int, Duplicate]:
    """Every row that repeats an earlier one; `rows` come in order of precedence, `read` gives a row's parts."""
    copies: dict[int, int] = {}
    unique = _exact(rows, read, copies) if settings.exact else ((row, read(row)) for row in rows)
    near: dict[int, Duplicate] = {}
    if settings.threshold is None:
        for _ in unique:
            pass
    else:
        near = NearIndex(read, settings, settings.threshold).sift(with_neighbours(unique, settings))
    # A copy of a row that went as a near duplicate repeats the row that stayed.
    return near | {row: near.get(of, Duplicate(of)) for row, of in copies.items()}


def _exact(rows: Iterable[int], read: Read, copies: dict[int, int]) -> Iterator[tuple[int, Parts]]:
    """The rows whose parts no earlier row had; every other one goes to `copies` with its first."""
    first: dict[bytes, int] = {}
    for row in rows:
        parts = read(row)
        digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).digest()
        of = first.setdefault(digest, row)
        if of == row:
            yield row, parts
        else:
            copies[row] = of


# --- first sweep: who has a neighbour at all ------------------------------------------------------------------


def with_neighbours(rows: Iterable[tuple[int, Parts]], settings: Settings) -> list[int]:
    """The rows that share a band with any other row, in their order."""
    lsh = new_lsh(settings)
    names = array("Q")
    sketches: list[Any] = []
    for batch in batches(rows, _BULK):
        hashes, ends = hash_grams([parts for _, parts in batch], settings.ngram)
        sketch = RMinHash.digest_matrix_from_flat_token_hashes(hashes, ends, settings.permutations, settings.seed)
        lsh.insert_matrix(sketch, len(names))
        sketches.append(sketch)
        names.extend(row for row, _ in batch)
    flags = (flag for sketch in sketches for flag in lsh.query_duplicate_flags_matrix(sketch))
    return list(compress(names, flags))


def new_lsh(settings: Settings) -> RMinHashLSH:
    return RMinHashLSH(settings.threshold, settings.permutations, settings.bands)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


class NearIndex:
    """The rows kept so far, and the question whether a new one is near to any of them."""

    def __init__(self, read: Read, settings: Settings, threshold: float) -> None:
        self._read = read
        self._settings = settings
        self._threshold = threshold
        self._lsh = new_lsh(settings)
        self._kept = array("Q")  # LSH key -> row
        self._grams = lru_cache(_REMEMBERED)(lambda row: gram_sets(read(row), settings.ngram))

    def sift(self, rows: Iterable[int]) -> dict[int, Duplicate]:
        """The duplicates among the rows; the others stay and become part of the index."""
        found: dict[int, Duplicate] = {}
        for batch in batches(((row, self._read(row)) for row in rows), _FEW):
            sets = [gram_sets(parts, self._settings.ngram) for _, parts in batch]
            for (row, _), mine, sketch in zip(batch, sets, sketch_all(sets, self._settings), strict=True):
                duplicate = self._match(mine, sorted(self._lsh.query(sketch)))
                if duplicate is not None:
                    found[row] = duplicate
                else:
                    self._lsh.insert(len(self._kept), sketch)
                    self._kept.append(row)
        return found

    def _match(self, mine: Grams, candidates: list[int]) -> Duplicate | None:
        for key in candidates:
            of = self._kept[key]
            jaccard = similarity(mine, self._grams(of))
            if jaccard >= self._threshold:
                return Duplicate(of, jaccard)
        return None


def sketch_all(sets: list[Grams], settings: Settings) -> list[RMinHash]:
    """Many at a time: a sketch alone costs ten times as much."""
    bags = [tagged(parts) for parts in sets]
    sketches: list[RMinHash] = RMinHash.from_token_sets(bags, settings.permutations, settings.seed)
    return sketches


# --- between splits -----------------------------------------------------------------------------------------------


def alike(texts: list[str], splits: list[str], rank: dict[str, int], threshold: float) -> list[int | None]:
    """For each text the first one like it in a split that precedes its own."""
    settings = Settings(threshold=threshold)
    sets = [gram_sets((text,), settings.ngram) for text in texts]
    sketches = sketch_all(sets, settings)
    lsh = new_lsh(settings)
    for row, split in enumerate(splits):
        if split != "train":
            lsh.insert(row, sketches[row])
    found: list[int | None] = []
    for row, split in enumerate(splits):
        near = (
            other
            for other in sorted(lsh.query(sketches[row]))
            if rank[splits[other]] < rank[split]
            and sketches[row].jaccard(sketches[other]) >= threshold - 0.2
            and similarity(sets[row], sets[other]) >= threshold
        )
        found.append(next(near, None))
    return found
