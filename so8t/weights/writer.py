"""Checkpoints written as a stream: every name, size and offset is known first, then rows are filled."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from so8t.stream.pipeline import PIECE, Pipeline, Written, evenly
from so8t.weights import header
from so8t.weights.header import SIZES, Tensor
from so8t.weights.reader import INDEX, SINGLE

Fill = Callable[[Tensor, int, int, memoryview], None]
"""Put rows `start` to `stop` of a tensor into memory of their size."""


@dataclass(frozen=True)
class Shard:
    file: str
    head: bytes  # length, header, padding
    tensors: tuple[Tensor, ...]  # in the order of their data


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
    left = shard_size
    for tensor in tensors:
        if tensor.size > left and groups[-1]:
            groups.append([])
            left = shard_size
        groups[-1].append(tensor)
        left -= tensor.size
    count = len(groups)
    names = [f"model-{n:05d}-of-{count:05d}.safetensors" for n in range(1, count + 1)] if count > 1 else [SINGLE]
    return tuple(_shard(name, group) for name, group in zip(names, groups, strict=True))


def write(
    folder: Path, shards: Sequence[Shard], fill: Fill, workers: int = 2, sha256: bool = False
) -> dict[str, Written]:
    """The shards, and an index if there are several; what was written, by file."""
    done = {}
    with Pipeline(_filling(fill), workers, sha256) as pipeline:
        for shard in shards:
            with (folder / shard.file).open("wb") as out:
                out.write(shard.head)
                parts = (piece for tensor in shard.tensors for piece in pieces(tensor))
                done[shard.file] = pipeline.write(out, shard.head, parts)
    if len(shards) > 1:
        (folder / INDEX).write_text(_index(shards), encoding="utf-8", newline="\n")
    return done


def pieces(tensor: Tensor, size: int = PIECE) -> Iterator[Piece]:
    """A tensor's rows in equal parts of about `size` bytes."""
    for start, stop in evenly(tensor.rows, max(1, size // max(1, tensor.row_bytes))):
        yield Piece(tensor, start, stop)


def _filling(fill: Fill) -> Callable[[Piece, memoryview], None]:
    return lambda piece, into: fill(piece.tensor, piece.start, piece.stop, into)


def _shard(name: str, tensors: Iterable[Tensor]) -> Shard:
    ordered = tuple(sorted(tensors, key=lambda tensor: -SIZES[tensor.dtype]))  # stable: every tensor stays aligned
    head, _ = header.encode(ordered)
    return Shard(name, head, ordered)


def _index(shards: Sequence[Shard]) -> str:
    places = {tensor.name: shard.file for shard in shards for tensor in shard.tensors}
    total = sum(tensor.size for shard in shards for tensor in shard.tensors)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    return json.dumps(index, indent=2) + "\n"
