"""alpha while training warms up."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from so8t.gate.schedule import Annealing, logit


@pytest.mark.parametrize("shape", ["linear", "sigmoid"])
def test_both_ends_are_exact(shape: str) -> None:
    annealing = Annealing(37, shape=shape)  # type: ignore[arg-type]

    assert annealing.alpha(-1) == annealing.alpha(0) == -5.0
    assert annealing.alpha(37) == annealing.alpha(10_000) == math.log(0.1 / 0.9) == logit(0.1)
    assert 1 / (1 + math.exp(-annealing.alpha(37))) == pytest.approx(0.1, abs=1e-16)


@pytest.mark.parametrize("shape", ["linear", "sigmoid"])
def test_it_only_rises_and_is_half_way_in_the_middle(shape: str) -> None:
    annealing = Annealing(100, shape=shape)  # type: ignore[arg-type]
    values = [annealing.alpha(step) for step in range(101)]

    assert all(low < high for low, high in pairwise(values))
    assert annealing.alpha(50) == pytest.approx((annealing.start + annealing.end) / 2)


def test_linear_is_a_line_and_sigmoid_begins_flat() -> None:
    assert Annealing(4, start=-4.0, gate=0.5).alpha(1) == -3.0
    assert Annealing(100, -4.0, 0.5, "sigmoid").alpha(10) == pytest.approx(-3.977, abs=1e-3)


def test_no_warm_up_is_the_end_at_once() -> None:
    assert Annealing(0).alpha(0) == logit(0.1)
