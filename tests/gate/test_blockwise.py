"""The block-diagonal product against the dense matrix, and what it keeps for the gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from so8t.gate.blockwise import product


def numbers(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(sum(shape))).to(dtype)


@pytest.mark.parametrize("blocks", [1, 2, 3, 4, 6, 12])
def test_it_is_the_product_with_the_dense_block_diagonal_matrix(blocks: int) -> None:
    tokens, matrices = numbers(2, 700, 8 * blocks), numbers(blocks, 8, 8)

    dense = tokens @ torch.block_diag(*matrices).mT

    torch.testing.assert_close(product(tokens, matrices), dense, rtol=0, atol=1e-13)


@pytest.mark.parametrize("blocks", [1, 3, 4])
def test_gradients_are_exact(blocks: int) -> None:
    tokens, matrices = numbers(2, 3, 8 * blocks).requires_grad_(), numbers(blocks, 8, 8).requires_grad_()

    assert torch.autograd.gradcheck(product, (tokens, matrices))


def test_the_gradient_of_many_tokens_is_that_of_the_dense_product() -> None:
    tokens, matrices = numbers(1300, 32), numbers(4, 8, 8)
    ours, theirs = matrices.clone().requires_grad_(), matrices.clone().requires_grad_()
    weights = numbers(1300, 32) + 1

    (product(tokens, ours) * weights).sum().backward()
    ((tokens @ torch.block_diag(*theirs).mT) * weights).sum().backward()

    torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_identity_changes_no_bit(dtype: torch.dtype) -> None:
    tokens = numbers(5, 64, dtype=dtype)

    assert torch.equal(product(tokens, torch.eye(8).expand(8, 8, 8)), tokens)


def test_sixteen_bits_of_the_matrix_bias_nothing() -> None:
    tokens = numbers(4096, 64, dtype=torch.bfloat16)
    matrices = torch.eye(8).expand(8, 8, 8) * 0.994  # in bfloat16 0.9922, wrong by 0.0018

    turned = product(tokens, matrices).double()

    exact = 0.994 * tokens.double()
    assert abs((turned * exact).sum() / exact.square().sum() - 1) < 5e-4  # direct: 1.8e-3
    assert (turned - exact).norm() / exact.norm() < 2e-3  # the floor: one rounding to bfloat16 is 1.66e-3


def test_the_gradient_of_blocks_is_summed_in_float32() -> None:
    tokens, weights = numbers(2048, 8, dtype=torch.bfloat16), numbers(2048, 8, dtype=torch.bfloat16).abs()
    matrices = torch.eye(8)[None].clone().requires_grad_()

    product(tokens, matrices).backward(weights)

    exact = (weights.double().mT @ tokens.double())[None]
    assert matrices.grad is not None and matrices.grad.dtype == torch.float32
    assert ((matrices.grad - exact).norm() / exact.norm()) < 1e-5


def test_only_the_tokens_are_kept() -> None:
    kept: list[tuple[int, ...]] = []
    tokens, matrices = numbers(100, 64).requires_grad_(), numbers(8, 8, 8).requires_grad_()

    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(tuple(t.shape)) or t, lambda t: t):
        product(tokens, matrices)

    assert kept == [(100, 64), (8, 8, 8)]


def test_frozen_sides_get_no_gradient() -> None:
    tokens, matrices = numbers(3, 8), numbers(1, 8, 8)

    product(tokens.requires_grad_(), matrices).sum().backward()

    assert tokens.grad is not None and matrices.grad is None
