"""Duplicates in a stream: exact by digest, near by MinHash LSH on character n-grams and then by true Jaccard.

LSH only proposes; every proposal is checked on the n-gram sets themselves, so no record goes because bands collide.
A record is compared with the records that were kept before it: whoever comes first wins.
What remains holds no pair that LSH proposes and that reaches the threshold.

The first sweep has made marks of every row, which lie on disk in columns.  Each column is sorted by itself: equal
neighbours share a digest or a band.  The second sweep looks at rows that share a band, reads them again and sketches
their n-grams; one pass in order then compares those that share a band of these sketches.
Held in memory are about 60 bytes a row, and at most 170 more for one that shares a band; never the text.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.corpus import sketches
from so8t.corpus.neardup import Duplicate, Grams, Parts, Settings, gram_sets, similarity
from so8t.corpus.sketches import Marks, batches
from so8t.stream.columns import Columns

if TYPE_CHECKING:
    from numpy import bool_, int64, signedinteger, uint64
    from numpy.typing import NDArray

    Rows = NDArray[int64]
    Groups = NDArray[signedinteger[Any]]

Read = Callable[[int], Parts]

_FEW = 16  # rows whose n-grams are in memory as strings: more fall out of the processor's cache
_REMEMBERED = 64  # rows whose n-gram sets are kept for the next pair


class Found(Mapping[int, Duplicate]):
    """The rows that repeat an earlier one; 16 bytes for each of all rows, however many they are."""

    def __init__(self, rows: int) -> None:
        import numpy as np

        self._of = np.full(rows, -1, np.int64)
        self._jaccard = np.full(rows, np.nan)

    def __getitem__(self, row: int) -> Duplicate:
        if row not in self:
            raise KeyError(row)
        jaccard = float(self._jaccard[row])
        return Duplicate(int(self._of[row]), None if isnan(jaccard) else jaccard)

    def __contains__(self, row: object) -> bool:
        return isinstance(row, int) and bool(self._of[row] >= 0)

    def __iter__(self) -> Iterator[int]:
        import numpy as np

        return map(int, np.flatnonzero(self._of >= 0))

    def __len__(self) -> int:
        return int((self._of >= 0).sum())

    def near(self, row: int, duplicate: Duplicate) -> None:
        self._of[row], self._jaccard[row] = duplicate.of, duplicate.jaccard

    def copies(self, rows: Rows, firsts: Rows) -> None:
        """Each row is a copy of its first; where that went as a near duplicate, it repeats the row that stayed."""
        import numpy as np

        went = self._of[firsts] >= 0
        self._of[rows] = np.where(went, self._of[firsts], firsts)
        self._jaccard[rows] = self._jaccard[firsts]


def find(marks: Columns, rows: Rows, read: Read, settings: Settings, folder: Path) -> Found:
    """Every one of the rows that repeats an earlier one.

    `marks` holds the marks of each row at its number, `rows` come in order of precedence, `read` gives a row's parts;
    `folder` is for more columns, and the caller's to remove.
    """
    import numpy as np

    kinds, found = Marks(settings), Found(len(marks))
    copies = firsts = np.zeros(0, np.int64)
    if settings.exact:
        copies, firsts = _copies(marks, rows)
        rows = rows[~np.isin(rows, copies)]
    if settings.threshold is not None:
        rows = rows[_with_neighbours(marks, rows, kinds.bands)]
        for row, duplicate in _sifted(rows, read, settings, settings.threshold, folder):
            found.near(row, duplicate)
    found.copies(copies, firsts)
    return found


def sweep(rows: Iterable[Parts], settings: Settings, folder: Path) -> Columns:
    """Marks of all rows, made in this process."""
    marks = Marks(settings)
    columns = Columns(folder, marks.width)
    for some in batches(rows, 256):
        columns.extend(marks(some))
    return columns


# --- sorted columns -------------------------------------------------------------------------------------------


def _copies(marks: Columns, rows: Rows) -> tuple[Rows, Rows]:
    """The rows whose digest an earlier one has, and beside each the first that has it."""
    import numpy as np

    places = np.flatnonzero(_shared(marks.read(0)[rows]))  # few, so that the other half need not be sorted whole
    low, high = (marks.read(half)[rows[places]] for half in (0, 1))
    order = np.lexsort((places, high, low))
    leads = np.ones(len(order), bool)
    leads[1:] = (low[order[1:]] != low[order[:-1]]) | (high[order[1:]] != high[order[:-1]])
    sorted_rows = rows[places[order]]
    leaders = sorted_rows[np.maximum.accumulate(np.where(leads, np.arange(len(order)), 0))]
    return sorted_rows[~leads], leaders[~leads]


def _with_neighbours(marks: Columns, rows: Rows, bands: Iterable[int]) -> NDArray[bool_]:
    """Which of the rows share a band with any other of them."""
    import numpy as np

    flags = np.zeros(len(rows), bool)
    for band in bands:
        flags |= _shared(marks.read(band)[rows])
    return flags


def _shared(keys: NDArray[uint64]) -> NDArray[bool_]:
    """Which keys occur more than once."""
    import numpy as np

    order = np.argsort(keys)
    keys = keys[order]
    same = keys[1:] == keys[:-1]
    shared = np.zeros(len(keys), bool)
    shared[order[1:][same]] = True
    shared[order[:-1][same]] = True
    return shared


def _groups(keys: Columns, bands: int) -> tuple[Groups, int]:
    """For each row and band the number of the group that shares its key, or -1 for a key of one row; and how many."""
    import numpy as np

    groups: Groups = np.full((len(keys), bands), -1, np.int32 if len(keys) * bands < 1 << 31 else np.int64)
    count = 0
    for band in range(bands):
        column = keys.read(band)
        places = np.flatnonzero(_shared(column))
        _, numbers = np.unique(column[places], return_inverse=True)
        groups[places, band] = numbers + count
        count += int(numbers.max()) + 1 if len(numbers) else 0
    return groups, count


# --- one pass in order ----------------------------------------------------------------------------------------


def _sifted(
    rows: Rows, read: Read, settings: Settings, threshold: float, folder: Path
) -> Iterator[tuple[int, Duplicate]]:
    """The duplicates among the rows; each that is not one stays, and later ones are compared with it."""
    with Columns(folder, settings.bands) as keys:
        for some in batches(map(int, rows), _FEW):
            sets = [gram_sets(read(row), settings.ngram) for row in some]
            keys.extend(sketches.band_keys(sketches.of_sets(sets, settings), settings.bands))
        kept = Kept(*_groups(keys, settings.bands))
    grams = lru_cache(_REMEMBERED)(lambda place: gram_sets(read(int(rows[place])), settings.ngram))
    for place in kept.linked():
        candidates = kept.neighbours(place)
        match = _match(grams(place), candidates, grams, threshold) if candidates else None
        if match:
            of, jaccard = match
            yield int(rows[place]), Duplicate(int(rows[of]), jaccard)
        else:
            kept.add(place)


def _match(
    mine: Grams, candidates: Iterable[int], grams: Callable[[int], Grams], threshold: float
) -> tuple[int, float] | None:
    for of in candidates:
        jaccard = similarity(mine, grams(of))
        if jaccard >= threshold:
            return of, jaccard
    return None


class Kept:
    """The rows that stay so far, in a chain for each group: its last one, and the one before each in each band."""

    def __init__(self, groups: Groups, count: int) -> None:
        import numpy as np

        self._groups = groups  # (rows, bands)
        self._last = np.full(count, -1, groups.dtype)
        self._before = np.full_like(groups, -1)

    def linked(self) -> Iterator[int]:
        """The rows that share a group with any other."""
        import numpy as np

        return map(int, np.flatnonzero((self._groups >= 0).any(axis=1)))

    def neighbours(self, row: int) -> list[int]:
        """The rows that stay and share a group with this one, the first one first."""
        found: set[int] = set()
        for band, group in enumerate(self._groups[row].tolist()):
            other = int(self._last[group]) if group >= 0 else -1
            while other >= 0:
                found.add(other)
                other = int(self._before[other, band])
        return sorted(found)

    def add(self, row: int) -> None:
        for band, group in enumerate(self._groups[row].tolist()):
            if group >= 0:
                self._before[row, band] = self._last[group]
                self._last[group] = row
