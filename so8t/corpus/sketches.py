"""What is known of a text without it: a digest that its copies share, and keys that those near to it probably share.

A MinHash sketch is cut into bands, and each band hashed to a key of 64 bits.
Two texts of Jaccard similarity j share a key with probability 1 - (1 - j^rows)^bands: 0.992 at 0.8 with 16 bands of 6.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, TypeVar

from so8t.corpus.neardup import Grams, Parts, Settings, tagged

if TYPE_CHECKING:
    from numpy import uint32, uint64
    from numpy.typing import NDArray

T = TypeVar("T")

_BULK = 256  # rows hashed at once by numpy
_MULTIPLIER = 0xD6E8FEB86659FD93


def hash_grams(rows: Sequence[Parts], n: int) -> tuple[NDArray[uint64], list[int]]:
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
    hashes *= np.uint64(_MULTIPLIER)
    hashes ^= hashes >> np.uint64(32)
    inside = np.ones(len(letters), bool)  # a gram may not run into the next part
    for offset in range(1, n):
        inside[np.cumsum(lengths) - offset] = False
    return hashes[inside[:starts]], ends


def of_hashes(rows: Sequence[Parts], settings: Settings) -> NDArray[uint32]:  # (rows, permutations)
    """Sketches on hashes that numpy makes of many rows at once: the fastest way."""
    from rensa import RMinHash

    permutations, seed = settings.permutations, settings.seed
    return _joined(
        [
            RMinHash.digest_matrix_from_flat_token_hashes(*hash_grams(some, settings.ngram), permutations, seed)
            for some in batches(rows, _BULK)
        ],
        permutations,
    )


def of_sets(rows: Sequence[Grams], settings: Settings) -> NDArray[uint32]:  # (rows, permutations)
    """Sketches on the n-grams themselves, for rows whose sets are needed anyway."""
    from rensa import RMinHash

    permutations, seed = settings.permutations, settings.seed
    bags = [tagged(parts) for parts in rows]
    return _joined([RMinHash.digest_matrix_from_token_sets(bags, permutations, seed)], permutations)


def _joined(matrices: Sequence[Any], permutations: int) -> NDArray[uint32]:
    import numpy as np

    values = chain.from_iterable(chain.from_iterable(matrix.to_rows() for matrix in matrices))
    return np.fromiter(values, np.uint32).reshape(-1, permutations)


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def band_keys(sketches: NDArray[uint32], bands: int) -> NDArray[uint64]:  # (rows, bands)
    """A key for each band of each sketch; those of two bands have nothing in common."""
    import numpy as np

    values = sketches.reshape(len(sketches), bands, sketches.shape[1] // bands)
    starts = np.arange(1, bands + 1, dtype=np.uint64) * np.uint64(_MULTIPLIER)  # differ above the 32 bits of a value
    keys = np.tile(starts, (len(sketches), 1))
    for row in range(values.shape[2]):
        keys ^= values[:, :, row]
        keys *= np.uint64(_MULTIPLIER)
        keys ^= keys >> np.uint64(32)
    return keys


class Marks:
    """The columns of a row: a digest of its parts in two halves, if copies are looked for, then its band keys."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.digests = range(2 * settings.exact)
        self.bands = range(len(self.digests), len(self.digests) + settings.bands * (settings.threshold is not None))
        self.width = self.bands.stop

    def __call__(self, rows: Sequence[Parts]) -> NDArray[uint64]:  # (rows, width)
        import numpy as np

        marks = np.zeros((len(rows), self.width), np.uint64)
        if self.digests:
            marks[:, : len(self.digests)] = np.frombuffer(b"".join(map(_digest, rows)), np.uint64).reshape(-1, 2)
        if self.bands:
            marks[:, self.bands.start :] = band_keys(of_hashes(rows, self._settings), self._settings.bands)
        return marks


def _digest(parts: Parts) -> bytes:
    return hashlib.blake2b("\x1f".join(parts).encode(), digest_size=16).digest()
