"""Figures over logits: against the plain formulas, in windows of any width, and words for what is beyond a bound."""

from __future__ import annotations

import math

import pytest
import torch

from so8t.errors import StageError
from so8t.parity.bounds import USUAL, Bounds, Parity, of
from so8t.parity.logits import Comparison, at_most, compare, misses


def pair(rows: int = 6, words: int = 50, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    reference = 4 * torch.randn(rows, words, generator=generator)
    return reference, reference + 0.3 * torch.randn(rows, words, generator=generator)


def test_figures_are_the_plain_formulas() -> None:
    reference, candidate = pair()
    found = compare({"a": reference[:2], "b": reference[2:]}, {"a": candidate[:2], "b": candidate[2:]})
    p, q = reference.double().log_softmax(1), candidate.double().log_softmax(1)
    kl = (p.exp() * (p - q)).sum(1)

    assert found.positions == 6
    assert found.max_difference == pytest.approx(float((reference - candidate).abs().max() / reference.abs().max()))
    assert found.mean_difference == pytest.approx(float((reference - candidate).abs().mean() / reference.abs().max()))
    assert found.kl_mean == pytest.approx(float(kl.mean()))
    assert found.kl_max == pytest.approx(float(kl.max()))
    assert found.top1 == float((reference.argmax(1) == candidate.argmax(1)).double().mean())
    assert found.worst == ("a" if kl[:2].mean() > kl[2:].mean() else "b")
    common = [
        set(a.tolist()) & set(b.tolist())
        for a, b in zip(reference.topk(5).indices, candidate.topk(5).indices, strict=True)
    ]
    assert found.top5 == pytest.approx(sum(map(len, common)) / 30)


@pytest.mark.parametrize("width", [1, 2, 7, 49, 50])
def test_windows_of_any_width_give_the_same(width: int) -> None:
    reference, candidate = pair(seed=1)
    whole = compare({"a": reference}, {"a": candidate})
    comparison = Comparison(["a"] * 6)
    for start in range(0, 50, width):
        comparison.add(reference[:, start : start + width], candidate[:, start : start + width])
    found = comparison.figures()

    assert found.kl_mean == pytest.approx(whole.kl_mean, rel=1e-9)
    assert (found.top1, found.top5, found.scale) == (whole.top1, whole.top5, whole.scale)
    assert found.max_difference == whole.max_difference


def test_equal_logits_differ_by_nothing() -> None:
    reference, _ = pair()
    found = compare({"a": reference}, {"a": reference.clone()})

    assert (found.max_difference, found.kl_mean, found.top1, found.top5) == (0, 0, 1, 1)
    assert found.as_json()["max_difference"] == 1e-5  # not finer than what machines agree on
    assert found.as_json()["worst"] is None


def test_logits_that_are_no_numbers_are_an_error_not_a_pass() -> None:
    reference, candidate = pair()
    candidate[3, 7] = math.nan

    with pytest.raises(StageError, match="logits are infinite or NaN: one of the models is broken"):
        compare({"a": reference}, {"a": candidate})


def test_other_prompts_or_other_vocabularies_are_not_compared() -> None:
    reference, candidate = pair()

    with pytest.raises(StageError, match="the two models did not see the same prompts"):
        compare({"a": reference}, {"b": candidate})
    with pytest.raises(StageError) as caught:
        compare({"a": reference}, {"a": candidate[:, :40]})
    assert str(caught.value) == (
        "parity: a: logits [6, 50] of the reference, [6, 40] of the candidate: tokens or vocabularies differ"
    )
    with pytest.raises(StageError, match="nothing was compared"):
        Comparison([]).figures()


def test_each_bound_that_is_passed_is_told() -> None:
    reference, candidate = pair()
    figures = compare({"a": reference}, {"a": -candidate})
    told = misses(figures, Bounds(max_difference=0.01, kl=0.001, top1=0.9, layer=1))

    assert [text.rsplit(" ", 1)[1] for text in told] == ["(max_difference)", "(kl)", "(top1)"]
    assert misses(figures, Bounds(max_difference=10, kl=100, top1=0, layer=1)) == []


@pytest.mark.parametrize(
    ("value", "published"), [(0.0, 1e-5), (1e-5, 1e-5), (0.01234, 0.013), (0.2, 0.2), (0.995, 1.0), (12.01, 13.0)]
)
def test_published_figures_are_rounded_up(value: float, published: float) -> None:
    assert at_most(value) == published


def test_bounds_are_those_of_the_coarsest_type_unless_the_spec_has_its_own() -> None:
    own = Bounds(max_difference=1, kl=1, top1=0, layer=1)

    assert of(Parity(), ("F32",)) == USUAL["F32"]
    assert of(Parity(), ("F16", "F32")) == USUAL["F16"]
    assert of(Parity(), ("BF16", "F16", "F32", "I64")) == USUAL["BF16"]
    assert of(Parity(bounds=own), ("BF16",)) == own
