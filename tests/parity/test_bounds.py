"""Bounds: the usual ones, a spec's own, and the words where one is passed."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from so8t.errors import StageError
from so8t.parity import bounds
from so8t.parity.bounds import USUAL, Bounds, Parity, TypeBounds, of, of_type
from so8t.parity.figures import Figures

FIGURES = Figures(
    conversations=64,
    tokens=6056,
    scale=20.0,
    max_difference=0.25,
    mean_difference=0.01,
    kl=0.31,
    kl_p99=0.9,
    kl_max=2.0,
    top1=0.8,
    top5=0.9,
    perplexity=12.0,
    reference_perplexity=10.0,
    worst="test:3",
    worst_kl=0.5,
    worst_difference=0.3,
)
OWN = Bounds(max_difference=1, kl=1, top1=0, layer=1)


def test_each_bound_that_is_passed_is_told() -> None:
    assert bounds.problems(FIGURES, Bounds(max_difference=0.01, kl=0.001, top1=0.9, layer=1)) == [
        "the largest difference is 0.25 of the logit scale, over 0.01 (max_difference)",
        "mean KL divergence 0.31 is over 0.001 (kl)",
        "top-1 agreement 0.800 is below 0.9 (top1)",
    ]
    assert bounds.problems(FIGURES, TypeBounds(kl=0.15, perplexity=0.15, top1=0.85)) == [
        "mean KL divergence 0.31 is over 0.15 (kl)",
        "perplexity changes by +20.0%, over 15.0% (perplexity)",
        "top-1 agreement 0.800 is below 0.85 (top1)",
    ]
    assert bounds.problems(FIGURES, OWN) == []
    assert bounds.problems(FIGURES, TypeBounds(kl=1, perplexity=1, top1=0)) == []


@pytest.mark.parametrize("allowed", [OWN, TypeBounds(kl=1, perplexity=1, top1=0)])
def test_a_figure_that_is_not_a_number_is_beyond_every_bound(allowed: Bounds | TypeBounds) -> None:
    broken = replace(FIGURES, max_difference=math.nan, kl=math.nan, top1=math.nan, perplexity=math.nan)

    assert len(bounds.problems(broken, allowed)) == 3


def test_problems_are_told_with_step_size_worst_conversation_and_the_next_thing_to_try() -> None:
    with pytest.raises(StageError) as caught:
        bounds.check("gguf: f16 -> q4_k_m", FIGURES, ["one thing", "another"], "try q6_k in types")

    assert str(caught.value) == (
        "gguf: f16 -> q4_k_m: one thing; another; over 6,056 tokens of 64 held-out conversations, worst in test:3; "
        "try q6_k in types"
    )
    bounds.check("gguf: f16 -> q4_k_m", FIGURES, [], "try q6_k in types")


def test_bounds_are_those_of_the_coarsest_type_unless_the_spec_has_its_own() -> None:
    assert of(Parity(), ("F32",)) == USUAL["F32"]
    assert of(Parity(), ("F16", "F32")) == USUAL["F16"]
    assert of(Parity(), ("BF16", "F16", "F32", "I64")) == USUAL["BF16"]
    assert of(Parity(bounds=OWN), ("BF16",)) == OWN


def test_bounds_of_a_type_are_the_usual_ones_unless_the_spec_names_it() -> None:
    named = TypeBounds(kl=1, perplexity=1, top1=0.1)

    assert of_type("q4_k_m", {}) == TypeBounds(kl=0.15, perplexity=0.15, top1=0.85)
    assert of_type("q4_k_m", {"q4_k_m": named}) == named
    assert of_type("iq1_s", {"q4_k_m": named}) == TypeBounds(kl=1.0, perplexity=1.0, top1=0.5)
