"""Checkpoints written as a stream: every name, size and offset is known first, then rows are filled, written, hashed.

Rows are filled by several hands at once and written in order; memory is a few buffers, whatever the model's size.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from so8t.weights import header
from so8t.weights.header import SIZES, Tensor
from so8t.weights.reader import INDEX, SINGLE

PIECE = 8 << 20  # bytes filled, written and hashed together

Fill = Callable[[Tensor, int, int, memoryview], None]
"""Put rows `start` to `stop` of a tensor into memory of their size."""


@dataclass(frozen=True)
class Shard:
    file: str
    head: bytes  # length, header, padding
    tensors: tuple[Tensor, ...]  # in the order of their data


@dataclass(frozen=True)
class Written:
    """A file and the digests that were taken on its way to the disk."""

    size: int
    blake3: str
    sha256: str | None


@dataclass(frozen=True)
class Piece:
    tensor: Tensor
    start: int
    stop: int

    @property
    def size(self) -> int:
        return (self.stop - self.start) * self.tensor.row_bytes


def plan(tensors: Sequence[Tensor], shard_size: int) -> tuple[Shard, ...]:
    """Files of at most `shard_size` bytes of data each, unless one tensor alone is larger; named as everyone does."""
    groups: list[list[Tensor]] = [[]]
    room = shard_size
    for tensor in tensors:
        if tensor.size > room and groups[-1]:
            groups.append([])
            room = shard_size
        groups[-1].append(tensor)
        room -= tensor.size
    count = len(groups)
    names = [f"model-{n:05d}-of-{count:05d}.safetensors" for n in range(1, count + 1)] if count > 1 else [SINGLE]
    return tuple(_shard(name, group) for name, group in zip(names, groups, strict=True))


def write(
    folder: Path, shards: Sequence[Shard], fill: Fill, workers: int = 2, sha256: bool = False
) -> dict[str, Written]:
    """The shards, and an index if there are several; what was written, by file."""
    done = {}
    with _Line(fill, workers, sha256) as line:
        for shard in shards:
            done[shard.file] = line.write(folder / shard.file, shard)
    if len(shards) > 1:
        (folder / INDEX).write_text(_index(shards), encoding="utf-8", newline="\n")
    return done


def pieces(tensor: Tensor, size: int = PIECE) -> Iterator[Piece]:
    """A tensor's rows in equal parts of about `size` bytes: a small remainder would be multiplied another way."""
    for start, stop in evenly(tensor.rows, max(1, size // max(1, tensor.row_bytes))):
        yield Piece(tensor, start, stop)


def evenly(rows: int, most: int) -> Iterator[tuple[int, int]]:
    """Ranges of at most `most` rows, as equal as they can be."""
    parts = -(-rows // most)
    for part in range(parts):
        yield rows * part // parts, rows * (part + 1) // parts


def _shard(name: str, tensors: Iterable[Tensor]) -> Shard:
    ordered = tuple(sorted(tensors, key=lambda tensor: -SIZES[tensor.dtype]))  # stable: every tensor stays aligned
    head, _ = header.encode(ordered)
    return Shard(name, head, ordered)


def _index(shards: Sequence[Shard]) -> str:
    places = {tensor.name: shard.file for shard in shards for tensor in shard.tensors}
    total = sum(tensor.size for shard in shards for tensor in shard.tensors)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    return json.dumps(index, indent=2) + "\n"


class Hash(Protocol):
    def update(self, data: Any, /) -> Any: ...

    def hexdigest(self) -> str: ...


class _Line:
    """Buffers go round: filled by one of the workers, written here, hashed by a thread for each digest, and again."""

    def __init__(self, fill: Fill, workers: int, sha256: bool) -> None:
        self._fill, self._sha256 = fill, sha256
        self._workers = ThreadPoolExecutor(workers, "fill")
        self._hashers = [ThreadPoolExecutor(1, "hash") for _ in range(1 + sha256)]
        self._buffers = deque(bytearray(PIECE) for _ in range(workers + 4))
        self._stopped = threading.Event()

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        for pool in (self._workers, *self._hashers):
            pool.shutdown(cancel_futures=True)

    def write(self, path: Path, shard: Shard) -> Written:
        from blake3 import blake3

        hashes: list[Hash] = [blake3(), *([hashlib.sha256()] if self._sha256 else [])]
        hashing: deque[tuple[bytearray, list[Future[Any]]]] = deque()
        filling: deque[tuple[Piece, bytearray, Future[None]]] = deque()
        waiting = (piece for tensor in shard.tensors for piece in pieces(tensor))
        size = len(shard.head)
        with path.open("wb") as out:
            out.write(shard.head)
            for each in hashes:
                each.update(shard.head)
            while True:
                self._feed(waiting, filling)
                if not filling:
                    break
                piece, buffer, filled = filling.popleft()
                filled.result()
                view = memoryview(buffer)[: piece.size]
                taken = [pool.submit(each.update, view) for pool, each in zip(self._hashers, hashes, strict=True)]
                hashing.append((buffer, taken))
                out.write(view)
                size += piece.size
                self._reclaim(hashing, all_of_them=False)
            self._reclaim(hashing, all_of_them=True)
        return Written(size, *[each.hexdigest() for each in hashes], *([] if self._sha256 else [None]))

    def _feed(self, waiting: Iterator[Piece], filling: deque[tuple[Piece, bytearray, Future[None]]]) -> None:
        while self._buffers and (piece := next(waiting, None)):
            buffer = self._buffers.popleft()
            if piece.size > len(buffer):  # a single row that is longer than a piece should be
                buffer = bytearray(piece.size)
            filling.append((piece, buffer, self._workers.submit(self._work, piece, buffer)))

    def _work(self, piece: Piece, buffer: bytearray) -> None:
        if not self._stopped.is_set():
            self._fill(piece.tensor, piece.start, piece.stop, memoryview(buffer)[: piece.size])

    def _reclaim(self, hashing: deque[tuple[bytearray, list[Future[Any]]]], all_of_them: bool) -> None:
        """Take back hashed buffers; wait for one if none is left, or for all."""
        while hashing and (all_of_them or not self._buffers or all(done.done() for done in hashing[0][1])):
            buffer, taken = hashing.popleft()
            for done in taken:
                done.result()
            self._buffers.append(buffer if len(buffer) == PIECE else bytearray(PIECE))
