"""Files written as a stream: pieces are filled by several hands at once, written in order, and hashed on their way.

Memory is a few buffers that go round, whatever the file's size.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from io import BufferedIOBase, RawIOBase
from typing import Any, Generic, Protocol, TypeVar

from so8t.stream import uncached

PIECE = 8 << 20  # bytes filled, written and hashed together


class Piece(Protocol):
    @property
    def size(self) -> int: ...


class Hash(Protocol):
    def update(self, data: Any, /) -> Any: ...

    def hexdigest(self) -> str: ...


P = TypeVar("P", bound=Piece)


@dataclass(frozen=True)
class Written:
    """A file's digests, taken on its way to the disk."""

    size: int
    blake3: str
    sha256: str | None


class Pipeline(Generic[P]):
    """`fill` puts a piece into memory of its size; it is called from several threads."""

    def __init__(self, fill: Callable[[P, memoryview], None], workers: int, sha256: bool) -> None:
        self._fill, self._sha256 = fill, sha256
        self._workers = ThreadPoolExecutor(workers, "fill")
        self._hashers = [ThreadPoolExecutor(1, "hash") for _ in range(1 + sha256)]
        self._buffers = deque(bytearray(PIECE) for _ in range(workers + 4))
        self._stopped = threading.Event()

    def __enter__(self) -> Pipeline[P]:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for pool in (self._workers, *self._hashers):
            pool.shutdown(cancel_futures=True)

    def write(self, out: RawIOBase | BufferedIOBase, head: bytes, pieces: Iterable[P]) -> Written:
        """The digests of `head`, which `out` holds already, and of the pieces, which follow it."""
        from blake3 import blake3

        hashes: list[Hash] = [blake3(head), *([hashlib.sha256(head)] if self._sha256 else [])]
        hashing: deque[tuple[bytearray, list[Future[Any]]]] = deque()
        filling: deque[tuple[P, bytearray, Future[None]]] = deque()
        waiting = iter(pieces)
        size = len(head)
        while True:
            self._feed(waiting, filling)
            if not filling:
                break
            piece, buffer, filled = filling.popleft()
            filled.result()
            view = memoryview(buffer)[: piece.size]
            taken = [pool.submit(each.update, view) for pool, each in zip(self._hashers, hashes, strict=True)]
            hashing.append((buffer, taken))
            uncached.append(out, view)
            size += piece.size
            self._reclaim(hashing, all_of_them=False)
        self._reclaim(hashing, all_of_them=True)
        digests = [each.hexdigest() for each in hashes]
        return Written(size, digests[0], digests[1] if self._sha256 else None)

    def _feed(self, waiting: Iterator[P], filling: deque[tuple[P, bytearray, Future[None]]]) -> None:
        while self._buffers and (piece := next(waiting, None)):
            buffer = self._buffers.popleft()
            if piece.size > len(buffer):  # a single row that is longer than a piece should be
                buffer = bytearray(piece.size)
            filling.append((piece, buffer, self._workers.submit(self._work, piece, buffer)))

    def _work(self, piece: P, buffer: bytearray) -> None:
        if not self._stopped.is_set():
            self._fill(piece, memoryview(buffer)[: piece.size])

    def _reclaim(self, hashing: deque[tuple[bytearray, list[Future[Any]]]], all_of_them: bool) -> None:
        """Take back hashed buffers; wait for one if none is left, or for all."""
        while hashing and (all_of_them or not self._buffers or all(done.done() for done in hashing[0][1])):
            buffer, taken = hashing.popleft()
            for done in taken:
                done.result()
            self._buffers.append(buffer if len(buffer) == PIECE else bytearray(PIECE))


def evenly(rows: int, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most `most` rows, as equal as they can be: a small remainder would be multiplied another way."""
    parts = -(-rows // most)
    for part in range(parts):
        yield rows * part // parts, rows * (part + 1) // parts
