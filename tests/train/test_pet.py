"""PET by its laws: straight lines cost nothing, padding never counts, gradients are exact."""

from __future__ import annotations

import math

import pytest
import torch

from so8t.train.pet import PHASES, Form, pet, phase

FORMS: tuple[Form, ...] = ("l2", "huber")


def states(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def test_it_is_the_mean_square_of_the_second_difference() -> None:
    hidden = torch.tensor([[[0.0, 1.0], [1.0, 1.0], [4.0, 1.0], [9.0, 5.0]]])

    # bends: (2, 0) and (2, 4); squares 4, 0, 4, 16
    assert pet(hidden, torch.ones(1, 4)).item() == 6.0


def test_huber_is_the_square_near_zero_and_linear_far_from_it() -> None:
    hidden = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [0.5, 10.0]]])

    # 0.5 squared; 2 * (10 - 0.5) beyond delta = 1
    assert pet(hidden, torch.ones(1, 3), "huber").item() == pytest.approx((0.25 + 19.0) / 2)


@pytest.mark.parametrize("form", FORMS)
def test_a_straight_line_costs_nothing(form: Form) -> None:
    line = torch.arange(6.0)[None, :, None] * torch.tensor([1.0, -2.0]) + 3

    assert pet(line, torch.ones(1, 6), form).item() == 0


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_on_either_side_changes_nothing(form: Form, side: str) -> None:
    hidden, rubbish = states(1, 5, 3), torch.full((1, 4, 3), math.nan, dtype=torch.float64)
    parts = [(rubbish, torch.zeros(1, 4)), (hidden, torch.ones(1, 5))]
    both = parts if side == "left" else parts[::-1]

    padded = pet(torch.cat([part for part, _ in both], 1), torch.cat([real for _, real in both], 1), form)

    assert padded.item() == pet(hidden, torch.ones(1, 5), form).item()


def test_a_triple_never_crosses_from_one_packed_sequence_to_the_next() -> None:
    first, second = states(1, 5, 3), states(1, 4, 3) + 100
    numbers = torch.tensor([[1, 1, 1, 1, 1, 2, 2, 2, 2]])

    packed = pet(torch.cat([first, second], 1), numbers)

    apart = 3 * pet(first, torch.ones(1, 5)) + 2 * pet(second, torch.ones(1, 4))
    assert packed.item() == pytest.approx(apart.item() / 5, rel=1e-12)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_without_a_real_triple_it_is_zero_and_differentiable(length: int) -> None:
    hidden = states(2, length, 3).requires_grad_()

    cost = pet(hidden, torch.zeros(2, length))
    cost.backward()

    assert cost.item() == 0
    assert hidden.grad is not None and hidden.grad.abs().sum() == 0


@pytest.mark.parametrize("form", FORMS)
def test_gradcheck_with_padding(form: Form) -> None:
    real = torch.tensor([[0, 0, 1, 1, 1, 1], [1, 1, 1, 0, 0, 0], [1, 1, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0]])
    hidden = states(4, 6, 3).requires_grad_()

    assert torch.autograd.gradcheck(lambda h: pet(h, real, form, 0.7), (hidden,))
    pet(hidden, real, form).backward()
    assert hidden.grad is not None and hidden.grad[real == 0].abs().sum() == 0


def test_sixteen_bit_states_are_differenced_in_float32() -> None:
    hidden = (states(2, 9, 4) + 50).bfloat16().requires_grad_()

    cost = pet(hidden, torch.ones(2, 9))
    cost.backward()

    assert cost.dtype == torch.float32
    assert cost.item() == pytest.approx(pet(hidden.double(), torch.ones(2, 9)).item(), rel=1e-6)
    assert hidden.grad is not None and hidden.grad.dtype == torch.bfloat16


def test_phases_change_after_20_and_60_percent() -> None:
    names = [phase(step, 10).name for step in range(10)]

    assert names == ["exploration"] * 2 + ["transition"] * 4 + ["stabilisation"] * 4
    assert [phase(step, 10).weight for step in (0, 2, 6)] == [0.01, 0.05, 0.1]


def test_borders_hold_in_whole_numbers_and_past_the_end_stays_the_last() -> None:
    assert [phase(step, 7).name for step in (1, 2, 4, 5)] == [
        *("exploration", "transition", "transition", "stabilisation")
    ]
    assert phase(7, 7) is phase(99, 7) is phase(0, 0) is PHASES[-1]
