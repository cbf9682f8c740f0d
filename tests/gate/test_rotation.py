"""Rotations by their laws, in float64, and against an independent reference."""

from __future__ import annotations

import math

import pytest
import scipy.linalg
import torch
from torch import Tensor

from so8t.gate import rotation

EYE = torch.eye(8, dtype=torch.float64)


def thetas(count: int, scale: float = 1.0, seed: int = 0) -> Tensor:
    return scale * torch.randn(count, 28, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def very_different_norms(count: int = 46) -> Tensor:
    """Blocks from 1e-7 to 1e2 in one batch, shuffled so that neighbours differ most, a zero block among them."""
    scales = torch.logspace(-7, 2, count, dtype=torch.float64)
    scales = scales[torch.randperm(count, generator=torch.Generator().manual_seed(3))]
    scales[4] = 0
    return rotation.skew(scales[:, None] * thetas(count) / math.sqrt(28))


def scipy_exp(blocks: Tensor) -> Tensor:
    return torch.stack([torch.from_numpy(scipy.linalg.expm(block.numpy())) for block in blocks])


def test_skew_puts_28_numbers_above_the_diagonal_row_by_row_and_their_negatives_below() -> None:
    made = rotation.skew(torch.arange(1.0, 29.0))

    assert made[0].tolist() == [0, 1, 2, 3, 4, 5, 6, 7]
    assert made[1].tolist() == [-1, 0, 8, 9, 10, 11, 12, 13]
    assert made[7].tolist() == [-7, -13, -18, -22, -25, -27, -28, 0]
    assert torch.equal(made, -made.mT)


def test_exp_agrees_with_scipy_block_by_block_whatever_their_norms() -> None:
    blocks = very_different_norms()

    assert (rotation.exp(blocks) - scipy_exp(blocks)).abs().max() < 1e-12


def test_a_small_block_is_as_exact_beside_a_large_one_as_alone() -> None:
    small, large = rotation.skew(thetas(1, 1e-6)), rotation.skew(thetas(1, 1e2))

    together = rotation.exp(torch.cat([small, large]))

    assert (together[0] - rotation.exp(small)[0]).abs().max() < 1e-18  # off the diagonal, 1e-6 keeps 12 digits
    assert ((together[0] - EYE - small[0] - small[0] @ small[0] / 2).abs() < 1e-16).all()


def test_exp_of_zero_is_exactly_the_identity() -> None:
    assert torch.equal(rotation.exp(torch.zeros(3, 8, 8)), torch.eye(8).expand(3, 8, 8))


def test_exp_turns_a_plane_by_its_angle() -> None:
    theta = torch.zeros(28, dtype=torch.float64)
    theta[0] = math.pi / 6

    turned = rotation.exp(rotation.skew(theta))

    assert turned[:2, :2].flatten().tolist() == pytest.approx(
        [math.sqrt(3) / 2, 0.5, -0.5, math.sqrt(3) / 2], abs=1e-15
    )
    assert torch.equal(turned[2:, 2:], EYE[2:, 2:])


def test_exp_keeps_shape_and_takes_no_blocks() -> None:
    assert rotation.exp(torch.zeros(2, 3, 8, 8)).shape == (2, 3, 8, 8)
    assert rotation.exp(torch.zeros(0, 8, 8)).shape == (0, 8, 8)


def test_a_block_that_is_not_finite_spoils_itself_alone() -> None:
    blocks = rotation.skew(thetas(3))
    blocks[1, 0, 1] = math.nan

    made = rotation.exp(blocks)

    assert made[1].isnan().any()
    assert torch.equal(made[[0, 2]], rotation.exp(blocks[[0, 2]]))


@pytest.mark.parametrize("g", [0.0, 0.0067, 0.5, 1.0])
def test_geodesic_is_a_rotation_for_every_g(g: float) -> None:
    made = rotation.geodesic(thetas(46, 5.0), torch.tensor(g, dtype=torch.float64))

    assert (made @ made.mT - EYE).abs().max() < 1e-13
    assert torch.linalg.det(made).tolist() == pytest.approx([1.0] * 46, abs=1e-12)


def test_geodesic_moves_along_one_parameter_group() -> None:
    theta, half = thetas(5), torch.tensor(0.5, dtype=torch.float64)

    once, twice = rotation.geodesic(theta, half), rotation.geodesic(theta, 2 * half)

    assert (once @ once - twice).abs().max() < 1e-13


def test_blend_is_the_residual_form() -> None:
    theta, g = thetas(5), torch.tensor(0.3, dtype=torch.float64)

    assert (rotation.blend(theta, g) - (0.7 * EYE + 0.3 * scipy_exp(rotation.skew(theta)))).abs().max() < 1e-14


@pytest.mark.slow
def test_gradients_are_exact() -> None:
    theta = torch.cat([thetas(2, 1e-3), thetas(2, 1.0), thetas(2, 4.0), torch.zeros(1, 28, dtype=torch.float64)])
    theta.requires_grad_()
    g = torch.tensor(0.2, dtype=torch.float64, requires_grad=True)

    assert torch.autograd.gradcheck(rotation.geodesic, (theta, g))
    assert torch.autograd.gradcheck(rotation.blend, (theta, g))


def test_the_gradient_of_exp_is_that_of_torch() -> None:
    blocks = very_different_norms()
    weights = torch.randn(blocks.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    ours, theirs = blocks.clone().requires_grad_(), blocks.clone().requires_grad_()

    (rotation.exp(ours) * weights).sum().backward()
    (torch.matrix_exp(theirs) * weights).sum().backward()

    # compared along the skew directions: off them exp is not defined here, and torch's 16 x 16 trick loses digits
    a, b = ours.grad - ours.grad.mT, theirs.grad - theirs.grad.mT
    assert ((a - b).abs().amax((1, 2)) / b.abs().amax((1, 2))).max() < 1e-11


def test_polar_gives_the_nearest_rotation_also_of_a_reflection() -> None:
    generator = torch.Generator().manual_seed(2)
    turned = rotation.geodesic(thetas(6), torch.tensor(1.0, dtype=torch.float64))
    near = turned + 0.05 * torch.randn(6, 8, 8, dtype=torch.float64, generator=generator)
    near[5, :, 0] *= -1

    made = rotation.polar(near)

    assert (made.mT @ made - EYE).abs().max() < 1e-13
    assert torch.linalg.det(made).tolist() == pytest.approx([1.0] * 6, abs=1e-12)
    # the law of the polar factor: RᵀM is symmetric
    symmetric = made.mT @ near
    assert (symmetric - symmetric.mT).abs().max() < 1e-13
    assert torch.linalg.eigvalsh(symmetric[:5]).min() > 0


def test_polar_leaves_a_rotation_as_it_is() -> None:
    turned = rotation.geodesic(thetas(6), torch.tensor(1.0, dtype=torch.float64))

    assert (rotation.polar(turned) - turned).abs().max() < 1e-14


def test_angles_are_those_of_the_planes() -> None:
    theta = torch.zeros(28, dtype=torch.float64)
    theta[0], theta[13], theta[22], theta[27] = 0.5, -1.0, 0.25, 3.0  # the planes 01, 23, 45, 67

    assert rotation.angles(rotation.exp(rotation.skew(theta))).tolist() == pytest.approx([0.25, 0.5, 1.0, 3.0])


def test_deviation_is_zero_for_rotations_and_literal_for_a_stretch() -> None:
    assert rotation.deviation(EYE).item() == 0
    assert rotation.deviation(2 * EYE).item() == pytest.approx(3 * math.sqrt(8))
