"""Fold a gate into the projection behind it: W' = W · blockdiag(M), the same function without the gate. Pure."""

from __future__ import annotations

import torch
from torch import Tensor

from so8t.errors import StageError
from so8t.gate.rotation import SIZE


def fold(weight: Tensor, blocks: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """weight (out, 8 n) times the n blocks (n, 8, 8), in float32 at least and rounded once, to `dtype` or its own.

    Block by block: the dense matrix costs four times as much and 38 MB a layer at 3,072.
    """
    if weight.dim() != 2 or blocks.shape != (weight.shape[1] // SIZE, SIZE, SIZE) or weight.shape[1] % SIZE:
        raise StageError(
            f"a gate of blocks {tuple(blocks.shape)} does not fit a projection of shape {tuple(weight.shape)}: "
            f"(out, in) needs (in / {SIZE}, {SIZE}, {SIZE})"
        )
    exact = torch.promote_types(weight.dtype, torch.float32)
    cut = weight.to(exact).unflatten(1, (-1, SIZE))  # (out, n, 8)
    folded = torch.einsum("obi,bij->obj", cut, blocks.to(weight.device, exact))
    return folded.flatten(1).to(dtype or weight.dtype)
