"""Folding a gate into the projection behind it."""

from __future__ import annotations

import pytest
import torch

from so8t.errors import StageError
from so8t.gate.blockwise import product
from so8t.gate.fold import fold
from so8t.gate.rotation import exp, skew


def blocks(count: int) -> torch.Tensor:
    return exp(skew(torch.randn(count, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(count))))


def test_it_is_the_product_with_the_dense_block_diagonal_matrix() -> None:
    weight = torch.randn(5, 24, dtype=torch.float64)

    torch.testing.assert_close(fold(weight, blocks(3)), weight @ torch.block_diag(*blocks(3)), rtol=0, atol=1e-14)


def test_fold_then_project_is_gate_then_project() -> None:
    weight, tokens = torch.randn(5, 24, dtype=torch.float64), torch.randn(7, 24, dtype=torch.float64)

    torch.testing.assert_close(
        tokens @ fold(weight, blocks(3)).mT, product(tokens, blocks(3)) @ weight.mT, rtol=0, atol=1e-13
    )


def test_sixteen_bits_are_rounded_once() -> None:
    weight = torch.randn(64, 64).bfloat16()

    folded = fold(weight, blocks(8))

    exact = weight.double() @ torch.block_diag(*blocks(8))
    assert folded.dtype == torch.bfloat16
    assert (folded != exact.bfloat16()).float().mean() < 1e-3  # float32 sums differ from float64 at ties alone
    assert fold(weight, blocks(8), torch.float32).dtype == torch.float32


def test_the_identity_folds_to_the_same_bits() -> None:
    weight = torch.randn(16, 16).half()

    assert torch.equal(fold(weight, torch.eye(8).expand(2, 8, 8)), weight)


@pytest.mark.parametrize("shape", [(5, 24), (5, 20), (24,)])
def test_shapes_that_do_not_fit_are_both_named(shape: tuple[int, ...]) -> None:
    with pytest.raises(StageError) as error:
        fold(torch.zeros(shape), blocks(2))

    assert str(error.value) == (
        f"a gate of blocks (2, 8, 8) does not fit a projection of shape {shape}: (out, in) needs (in / 8, 8, 8)"
    )
