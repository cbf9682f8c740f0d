"""Gates folded into their projections: W' = W · blockdiag(M), and a standard model again, rounded once.

Rounding what was merged and then what was folded would lose half as much again, so gated projections (and embeddings,
which PEFT's way of merging rounds twice) are made anew from base and adapter in float32; everything else is the merged
model's, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch

from so8t.errors import StageError
from so8t.gate.fold import fold
from so8t.gate.rotation import SIZE
from so8t.stream.pipeline import Written, evenly
from so8t.stream.threads import one_each
from so8t.weights import companions, writer
from so8t.weights.gatefiles import Stored
from so8t.weights.header import FLOATS, Tensor
from so8t.weights.merge import Merging, at_once
from so8t.weights.reader import Checkpoint, as_rows
from so8t.weights.sound import check_sound, is_sound

Blocks = Mapping[str, torch.Tensor]
"""M (n, 8, 8) by the name of the weight that it multiplies from the right."""


def bake(
    merged_folder: Path,
    merged: Checkpoint,
    exact: Merging,
    gates: Blocks,
    out: Path,
    shard_size: int,
    workers: int,
    remote_code: bool = False,
) -> Mapping[str, Written]:
    """Leave a standard checkpoint in `out`; the files' digests, for they leave the house."""
    check(merged, gates)
    out.mkdir(parents=True, exist_ok=True)
    companions.copy(merged_folder, out)
    if not remote_code:
        companions.forget_code(out)
    shards = writer.plan(list(merged.tensors.values()), shard_size)
    with one_each():
        return writer.write(out, shards, Baking(merged, exact, gates).fill, workers, sha256=True)


def projected(gates: Stored) -> Stored:
    """Each gate as its kind is folded in: a free one as the rotation nearest to it, others as they are."""
    made: dict[str, torch.Tensor] = {}
    for layer, name in gates.attentions.items():
        gate = gates.gate(layer)
        gate.project()
        made |= {f"{name}.so8_gate.{key}": tensor for key, tensor in gate.state_dict().items()}
    return replace(gates, tensors=made)


def check(weights: Checkpoint, gates: Blocks) -> None:
    """Every gate has its projection, of the right width, and numbers in it."""
    for name, blocks in gates.items():
        if name not in weights:
            raise StageError(f"{weights.label}: no tensor {name}, and there is a gate before it")
        tensor = weights[name]
        if tensor.dtype not in FLOATS or len(tensor.shape) != 2 or tensor.shape[1] != SIZE * len(blocks):
            raise StageError(
                f"{weights.file(name)}: {name} is {tensor.dtype} {list(tensor.shape)}, and its gate turns "
                f"{len(blocks)} blocks of {SIZE}: these gates belong to another model"
            )
        if not is_sound(blocks):
            raise StageError(f"the gate of {name} has values that are infinite or NaN")


class Baking:
    """Rows of the baked model's tensors."""

    def __init__(self, merged: Checkpoint, exact: Merging, gates: Blocks) -> None:
        self._merged, self._exact, self._gates = merged, exact, gates
        self._anew = exact.rounded_twice | gates.keys()

    def fill(self, tensor: Tensor, start: int, stop: int, into: memoryview) -> None:
        if tensor.name not in self._anew:
            self._merged.read(tensor.name, start, stop, into)
            if tensor.dtype in FLOATS:
                check_sound(as_rows(into, tensor, stop - start), self._merged, tensor.name)
            return
        rows = as_rows(into, tensor, stop - start)
        for first, last in evenly(len(rows), at_once(rows.shape[1])):
            exact = self._exact.exact(tensor, start + first, start + last)
            blocks = self._gates.get(tensor.name)
            rows[first:last] = exact if blocks is None else fold(exact, blocks, rows.dtype)
        if not is_sound(rows):
            raise StageError(f"{tensor.name}, turned by its gate, overflows {tensor.dtype}")
