"""The product of every token with a block-diagonal matrix, and its gradient, near the cost of reading the tokens.

y = x + D x with D = M - I: in sixteen bits D keeps the digits that M would lose beside its ones, the same way for
every token, and the identity is exact. Four blocks form a tile of 32: more arithmetic, fewer and faster products.
Folding M into the projection instead costs more in training: a copy of the weight per layer, and the gradient of M
would need the projection's whole weight gradient, which a frozen base never computes.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from so8t.gate.rotation import SIZE

_BLOCKS_PER_TILE = 4
_TOKENS_AT_ONCE = 512  # of float32 copies, when the gradient of M is summed


def product(tokens: Tensor, blocks: Tensor) -> Tensor:
    """blockdiag(M) x for each token x of (..., 8 n), in the tokens' dtype; M is (n, 8, 8), float32 or finer.

    Only the tokens are kept for the gradient: attention keeps the same tensor for its own.
    """
    flat = tokens.reshape(-1, tokens.shape[-1])
    result: Tensor = _Product.apply(flat, blocks)
    return result.view(tokens.shape)


class _Product(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tokens: Tensor, blocks: Tensor) -> Tensor:
        ctx.save_for_backward(tokens, blocks)
        return _turn(tokens, _tiles(blocks, tokens.dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        tokens, blocks = ctx.saved_tensors
        for_tokens, for_blocks = ctx.needs_input_grad
        gradient = gradient.contiguous()
        return (
            _turn(gradient, _tiles(blocks, gradient.dtype).mT) if for_tokens else None,
            _outer(gradient, tokens, blocks) if for_blocks else None,
        )


def _tiles(blocks: Tensor, dtype: torch.dtype) -> Tensor:
    """M - I, several blocks on the diagonal of each tile: (tiles, width, width)."""
    off = (blocks - torch.eye(SIZE, dtype=blocks.dtype, device=blocks.device)).to(dtype)
    many = _per_tile(len(blocks))
    tiles = off.new_zeros(len(blocks) // many, many, SIZE, many, SIZE)
    torch.diagonal(tiles, dim1=1, dim2=3).copy_(off.unflatten(0, (-1, many)).permute(0, 2, 3, 1))
    return tiles.view(-1, many * SIZE, many * SIZE)


def _turn(tokens: Tensor, tiles: Tensor) -> Tensor:
    result = tokens.clone(memory_format=torch.contiguous_format)
    _by_tile(result, len(tiles)).baddbmm_(_by_tile(tokens, len(tiles)), tiles.mT)
    return result


def _by_tile(tokens: Tensor, tiles: int) -> Tensor:
    return tokens.unflatten(-1, (tiles, -1)).transpose(0, 1)  # (tiles, tokens, width), a view


def _outer(gradient: Tensor, tokens: Tensor, blocks: Tensor) -> Tensor:
    """Sum over tokens of dy xᵀ, block by block, in float32 at least: its skew part is what is left of a difference."""
    many = _per_tile(len(blocks))
    count, width = len(blocks) // many, many * SIZE
    total = blocks.new_zeros(count, width, width)
    for some, others in zip(gradient.split(_TOKENS_AT_ONCE), tokens.split(_TOKENS_AT_ONCE), strict=True):
        total.baddbmm_(_by_tile(some.to(total.dtype), count).mT, _by_tile(others.to(total.dtype), count))
    diagonal = torch.diagonal(total.view(count, many, SIZE, many, SIZE), dim1=1, dim2=3)  # (count, 8, 8, many)
    return diagonal.permute(0, 3, 1, 2).reshape(-1, SIZE, SIZE)


def _per_tile(blocks: int) -> int:
    return next(many for many in (_BLOCKS_PER_TILE, 2, 1) if blocks % many == 0)
