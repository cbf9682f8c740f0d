"""Rotations of blocks of eight: skew matrices, their exponential right per block, blends, and the nearest rotation.

Pure functions on batches of 8 x 8 blocks; nothing here knows a layer or a model.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

SIZE = 8
NUMBERS = SIZE * (SIZE - 1) // 2  # free numbers of a skew 8 x 8 matrix: the dimension of SO(8)

_DEGREE = 18
_SMALL = 1.0  # norm up to which the Taylor polynomial is exact in float64: 1 / 19! is 8e-18
_MOST_SQUARINGS = 64  # a norm beyond 2^64 is not an angle any more


def skew(theta: Tensor) -> Tensor:
    """A = -Aᵀ with theta (..., 28) above its diagonal, row by row."""
    rows, columns = torch.triu_indices(SIZE, SIZE, 1, device=theta.device)
    flat = theta.new_zeros(*theta.shape[:-1], SIZE * SIZE).index_copy(-1, rows * SIZE + columns, theta)
    upper = flat.unflatten(-1, (SIZE, SIZE))
    return upper - upper.mT


def exp(skews: Tensor) -> Tensor:
    """The exponential of each skew block (..., 8, 8), each scaled by its own norm, with the exact gradient.

    torch.matrix_exp is as exact and 80 times slower on batches this small.
    """
    result: Tensor = _Exp.apply(skews)
    return result


class _Exp(torch.autograd.Function):
    """Keeps its input alone and computes again for the gradient: blocks are small, what the squarings keep is not."""

    @staticmethod
    def forward(ctx: Any, skews: Tensor) -> Tensor:
        ctx.save_for_backward(skews)
        return _exp(skews)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (skews,) = ctx.saved_tensors
        with torch.enable_grad():
            again = skews.detach().requires_grad_()
            (result,) = torch.autograd.grad(_exp(again), again, gradient)
        return result


def _exp(skews: Tensor) -> Tensor:
    """Scaling and squaring: 2^-s A by its Taylor polynomial, then s squarings, s for each block."""
    blocks = skews.reshape(-1, SIZE, SIZE)
    norms = blocks.detach().abs().sum(-1).amax(-1)
    if not len(norms) or bool((norms <= _SMALL).all()):  # nearly always, in training
        return _taylor(blocks).reshape(skews.shape)
    squarings = torch.log2(norms / _SMALL).ceil().nan_to_num(0.0, _MOST_SQUARINGS, 0.0).clamp(0, _MOST_SQUARINGS)
    result = _taylor(blocks * torch.exp2(-squarings)[:, None, None])
    for done in range(int(squarings.max())):
        result = torch.where((squarings > done)[:, None, None], result @ result, result)
    return result.reshape(skews.shape)


def _taylor(small: Tensor) -> Tensor:
    """Sum of X^k / k! up to k = 18 with seven products: Paterson and Stockmeyer, in threes.

    The six quadratics a I + b X + c X^2 are one small product, for on blocks like these each operation costs a call.
    """
    square = small @ small
    cube = square @ small
    powers = torch.stack([torch.eye(SIZE, dtype=small.dtype, device=small.device).expand_as(small), small, square])
    weights = [[1 / math.factorial(lowest + k) for k in range(3)] for lowest in range(0, _DEGREE, 3)]
    quadratics = torch.tensor(weights, dtype=small.dtype, device=small.device) @ powers.flatten(1)
    *rest, result = quadratics.view(_DEGREE // 3, *small.shape).unbind()
    result = result + cube / math.factorial(_DEGREE)
    for quadratic in reversed(rest):
        result = torch.baddbmm(quadratic, result, cube)
    return result


def geodesic(theta: Tensor, g: Tensor) -> Tensor:
    """R = exp(g A): a rotation for every g, the identity at g = 0."""
    return exp(g * skew(theta))


def blend(theta: Tensor, g: Tensor) -> Tensor:
    """M = (1 - g) I + g exp(A): the residual form; between its ends it shrinks what it turns."""
    eye = torch.eye(SIZE, dtype=theta.dtype, device=theta.device)
    return eye + g * (exp(skew(theta)) - eye)


def polar(blocks: Tensor) -> Tensor:
    """The rotation nearest to each block: its polar factor, the weakest direction turned round where det is -1."""
    left, _, right = torch.linalg.svd(blocks)
    flip = torch.ones(blocks.shape[:-1], dtype=blocks.dtype, device=blocks.device)
    flip[..., -1] = torch.linalg.det(left @ right).sign()
    return (left * flip[..., None, :]) @ right


def angles(rotations: Tensor) -> Tensor:
    """The four rotation angles of each block (..., 4) in radians, from 0 to pi, ascending."""
    turned = torch.linalg.eigvals(rotations.to(finest(rotations.device))).angle().abs()
    return turned.sort(-1).values[..., ::2]


def deviation(blocks: Tensor) -> Tensor:
    """||MᵀM - I||_F of each block: zero for a rotation."""
    eye = torch.eye(SIZE, dtype=blocks.dtype, device=blocks.device)
    return torch.linalg.matrix_norm(blocks.mT @ blocks - eye)


def finest(device: torch.device) -> torch.dtype:
    """float64 but on Apple's GPUs, which have none."""
    return torch.float32 if device.type == "mps" else torch.float64
