"""Base and adapter made one: W + scale · B A, in float32 and rounded once; bit for bit what PEFT's merge gives.

A few rows at a time: what one multiplication makes stays in the processor's cache until it is added and rounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from so8t.errors import StageError
from so8t.stream.buffers import Buffers
from so8t.stream.pipeline import Written, evenly
from so8t.stream.threads import one_each
from so8t.weights import companions, writer
from so8t.weights.embeddings import EMBEDDING, HEAD
from so8t.weights.header import FLOATS, Tensor
from so8t.weights.lora import Adapter, Low, stored
from so8t.weights.reader import Checkpoint, as_rows
from so8t.weights.sound import check_sound, is_sound

_IN_CACHE = 2 << 20  # bytes of float32
_LEAST = 64  # rows, below which a multiplication is slow
_BUFFERS = Buffers()


@dataclass(frozen=True)
class Merged:
    """What became of the base's tensors, and the digests of the files that hold them."""

    merged: tuple[str, ...]
    replaced: tuple[str, ...]
    rows: Mapping[str, int]  # of how many tokens, by tensor
    copied: int
    untied: bool  # embeddings and head no longer share their weights
    files: Mapping[str, Written]

    def as_json(self) -> dict[str, Any]:
        rows = {"rows": self.rows} if self.rows else {}
        return {"merged": self.merged, "replaced": self.replaced, **rows, "copied": self.copied, "untied": self.untied}


def merge(base_folder: Path, base: Checkpoint, adapter: Adapter, out: Path, shard_size: int, workers: int) -> Merged:
    """Leave a checkpoint in `out`; what is not weights is the base's, byte for byte."""
    untied = companions.parts_ways(base_folder, base, adapter)
    tensors = list(base.tensors.values())
    if untied and HEAD not in base:
        tensors.append(replace(base[EMBEDDING], name=HEAD))
    out.mkdir(parents=True, exist_ok=True)
    companions.copy(base_folder, out)
    if untied:
        companions.untie(out)
    with one_each():
        files = writer.write(out, writer.plan(tensors, shard_size), Merging(base, adapter).fill, workers)
    copied = len(tensors) - len(adapter.touched)
    rows = {name: len(found.numbers) for name, found in sorted(adapter.rows.items())}
    return Merged(tuple(sorted(adapter.lows)), tuple(sorted(adapter.whole)), rows, copied, untied, files)


class Merging:
    """Rows of merged tensors, as bytes for a writer or exact for whatever comes before rounding."""

    def __init__(self, base: Checkpoint, adapter: Adapter) -> None:
        self._base, self._adapter = base, adapter
        self._touched = frozenset(adapter.touched)

    def fill(self, tensor: Tensor, start: int, stop: int, into: memoryview) -> None:
        if tensor.dtype not in FLOATS:
            self._check_type(tensor)
            self._base.read(tensor.name, start, stop, into)
            return
        rows = self._unmerged(tensor, start, stop, into)
        if low := self._adapter.lows.get(tensor.name):
            merge_(rows, self._adapter, low, start)
        if tensor.name in self._touched:
            self._check_range(rows, tensor)

    @property
    def rounded_twice(self) -> frozenset[str]:
        return frozenset(name for name, low in self._adapter.lows.items() if low.is_embedding)

    def exact(self, tensor: Tensor, start: int, stop: int) -> torch.Tensor:
        """In float32 at least, not rounded; good until this thread's next."""
        memory = memoryview(bytearray((stop - start) * tensor.row_bytes))
        rows = self._unmerged(tensor, start, stop, memory)
        if low := self._adapter.lows.get(tensor.name):
            up, down = self._adapter.factors(low, start, stop)
            return combine(rows, up, down, low, self._adapter.magnitude(low, start, stop))
        return rows.to(torch.promote_types(rows.dtype, torch.float32))

    def _unmerged(self, tensor: Tensor, start: int, stop: int, into: memoryview) -> torch.Tensor:
        """The base's rows, or those that the adapter has in their place."""
        rows = as_rows(into, tensor, stop - start)
        if own := self._adapter.whole.get(tensor.name):
            found = self._adapter.tensors.rows(own, start, stop)
            check_sound(found, self._adapter.tensors, own)
            return rows.copy_(found)
        source = stored(tensor.name, self._base)
        self._base.read(source, start, stop, into)
        check_sound(rows, self._base, source)
        self._adapter.replace_(rows, tensor.name, start)
        return rows

    def _check_range(self, rows: torch.Tensor, tensor: Tensor) -> None:
        if not is_sound(rows):
            raise StageError(f"{self._adapter.tensors.label}: merged into {tensor.name}, it overflows {tensor.dtype}")

    def _check_type(self, tensor: Tensor) -> None:
        if tensor.name in self._touched:
            raise StageError(
                f"{self._base.file(tensor.name)}: {tensor.name} holds {tensor.dtype}, and an adapter is merged into "
                "floats: take the base that is not quantised"
            )


def merge_(rows: torch.Tensor, adapter: Adapter, low: Low, start: int) -> None:
    """Rows `start` and on of a weight, merged in place and rounded to their own type."""
    up, down = adapter.factors(low, start, start + len(rows))
    magnitude = adapter.magnitude(low, start, start + len(rows))
    for first, last in evenly(len(rows), at_once(rows.shape[1])):
        part = rows[first:last]
        ups, downs = (up, down[:, first:last]) if low.turned else (up[first:last], down)
        if low.is_embedding:  # PEFT rounds what it adds to an embedding before it adds it
            part.add_((ups @ downs).mul_(low.scale).T.to(part.dtype))
        else:
            part.copy_(combine(part, ups, downs, low, None if magnitude is None else magnitude[first:last]))


def combine(
    rows: torch.Tensor, up: torch.Tensor, down: torch.Tensor, low: Low, magnitude: torch.Tensor | None
) -> torch.Tensor:
    """Rows of W and the factors into rows of the merged weight, not rounded; in PEFT's order, for sums depend on it.

    The result is good until this thread's next.
    """
    buffer = _BUFFERS.get("delta", (up.shape[0], down.shape[1]), torch.float32)
    delta = torch.mm(up, down, out=buffer).mul_(low.scale)
    exact = torch.promote_types(rows.dtype, torch.float32)
    weight = rows if rows.dtype == exact else _BUFFERS.get("weight", tuple(rows.shape), exact).copy_(rows)
    merged = (delta.T if low.turned else delta).to(exact).add_(weight)
    if magnitude is not None:
        merged.mul_((magnitude / torch.linalg.norm(merged, dim=1)).unsqueeze(1))
    return merged


def at_once(width: int) -> int:
    """How many rows of this width are worked on together."""
    return max(_LEAST, _IN_CACHE // (4 * max(1, width)))
