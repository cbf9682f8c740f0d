"""Duplicates in a stream: exact by hash, near by MinHash LSH on character n-grams and then by true Jaccard.

LSH only proposes; every proposal is checked on the n-gram sets themselves, so no record goes because bands collide.
A record is compared with the records that were kept before it: whoever comes first wins.
What remains holds no pair that LSH proposes and that reaches the threshold.
At Jaccard j a pair is proposed with probability 1 - (1 - j^rows)^bands: 0.992 at 0.8 with 16 bands of 6 rows.

Two sweeps keep it fast: the first sketches every row in bulk (numpy hashes the n-grams) and asks rensa's LSH which rows
have any neighbour; the second looks at those alone, finds the neighbours and reads their texts again to compare them.
Held in memory per row are a 16-byte hash, the sketch and an LSH entry, about 2 kB in all, never the text.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress, islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from numpy import uint64
    from numpy.typing import NDArray
    from rensa import RMinHash, RMinHashLSH

Parts = tuple[str, ...]
"""What must be alike, each for itself: the text, and the conversation and system prompt around it."""
Grams = tuple[frozenset[str], ...]
Read = Callable[[int], Parts]
T = TypeVar("T")

_BULK = 256  # rows hashed at once by numpy
_FEW = 16  # rows whose n-grams are in memory as strings: more fall out of the processor's cache
_REMEMBERED = 64  # rows whose n-gram sets are kept for the next pair
_UNSEEN = re.compile("[\\s。、！？!?（）()…‥・「」『』\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef]")


@dataclass(frozen=True)
class Settings:
    """`threshold` None looks for exact duplicates only; `permutations` is a multiple of `bands`."""

    exact: bool = True
    threshold: float | None = 0.8
    ngram: int = 5
    permutations: int = 96
    bands: int = 16
    seed: int = 42


@dataclass(frozen=True)
class Duplicate:
    """A row that repeats the kept row `of`; `jaccard` is None for an exact copy."""

    of: int
    jaccard: float | None = None


def comparable(text: str) -> str:
    """The form in which texts are compared: width, case, spaces and sentence marks make no difference."""
    text = _UNSEEN.sub("", text)  # before the check: full-width marks would send most Japanese texts through NFKC
    if not unicodedata.is_normalized("NFKC", text):
        text = _UNSEEN.sub("", unicodedata.normalize("NFKC", text))
    return text.casefold()


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
    from rensa import RMinHash

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


def hash_grams(rows: list[Parts], n: int) -> tuple[NDArray[uint64], list[int]]:
    """A 64-bit hash of every n-gram of every row, one row after the other, and the offsets between rows."""
    import numpy as np

    pieces: list[str] = []
    tags: list[int] = []
    ends = [0]
    for parts in rows:
        end = ends[-1]
        for tag, part in enumerate(parts):
            if part:
                pieces.append(part if len(part) >= n else part.ljust(n, "\0"))
                tags.append(tag)
                end += len(pieces[-1]) - n + 1
        ends.append(end)
    letters = np.frombuffer("".join(pieces).encode("utf-32-le"), np.uint32)
    lengths = np.fromiter(map(len, pieces), np.int64, len(pieces))
    starts = max(0, len(letters) - n + 1)
    hashes = np.repeat(np.array(tags, np.uint64), lengths)[:starts]
    for offset in range(n):
        hashes *= np.uint64(0x9E3779B97F4A7C15)
        hashes += letters[offset : offset + starts]
    hashes ^= hashes >> np.uint64(32)
    hashes *= np.uint64(0xD6E8FEB86659FD93)
    hashes ^= hashes >> np.uint64(32)
    inside = np.ones(len(letters), bool)  # a gram may not run into the next part
    for offset in range(1, n):
        inside[np.cumsum(lengths) - offset] = False
    return hashes[inside[:starts]], ends


def new_lsh(settings: Settings) -> RMinHashLSH:
    from rensa import RMinHashLSH

    return RMinHashLSH(settings.threshold, settings.permutations, settings.bands)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


# --- second sweep: which neighbour, and is it near ------------------------------------------------------------


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
    from rensa import RMinHash

    bags = [tagged(parts) for parts in sets]
    sketches: list[RMinHash] = RMinHash.from_token_sets(bags, settings.permutations, settings.seed)
    return sketches


def similarity(left: Grams, right: Grams) -> float:
    """The smallest Jaccard similarity of the parts: a long common system prompt makes no two texts alike."""
    return min(map(_jaccard, left, right))


def _jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    both = len(left & right)
    union = len(left) + len(right) - both
    return both / union if union else 1.0


def gram_sets(parts: Parts, n: int) -> Grams:
    return tuple(frozenset(grams(part, n)) for part in parts)


def tagged(sets: Grams) -> list[str]:
    """One bag for the sketch; if each part reaches a similarity, so does the bag, and LSH misses nothing by it."""
    bag = list(sets[0])
    for tag, part in enumerate(sets[1:], 1):
        bag += [f"{tag}\x1f{gram}" for gram in part]
    return bag


def grams(text: str, n: int) -> list[str]:
    """Every run of n characters; a shorter text is its own single run."""
    if len(text) <= n:
        return [text] if text else []
    return [text[start : start + n] for start in range(len(text) - n + 1)]
