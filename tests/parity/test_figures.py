"""Figures over logits: against the plain formulas, in windows of any width, whole or conversation by conversation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
import torch

from so8t.errors import StageError
from so8t.parity.figures import Comparison, Figures, at_most, figures

IDS = {"a": [3, 7], "b": [11, 49, 0, 20]}


def pair(rows: int = 6, words: int = 50, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    reference = 4 * torch.randn(rows, words, generator=generator)
    return reference, reference + 0.3 * torch.randn(rows, words, generator=generator)


def compare(reference: torch.Tensor, candidate: torch.Tensor, width: int = 50) -> Figures:
    comparison = Comparison(IDS)
    for start in range(0, 50, width):
        comparison.add(reference[:, start : start + width], candidate[:, start : start + width])
    return figures([comparison])


def test_figures_are_the_plain_formulas() -> None:
    reference, candidate = pair()
    found = compare(reference, candidate)
    p, q = reference.double().log_softmax(1), candidate.double().log_softmax(1)
    kl = (p.exp() * (p - q)).sum(1)
    rows, following = torch.tensor([0, 2, 3, 4]), torch.tensor([7, 49, 0, 20])

    assert (found.conversations, found.tokens) == (2, 6)
    assert found.scale == pytest.approx(float(reference.abs().max()))
    assert found.max_difference == pytest.approx(float((reference - candidate).abs().max() / reference.abs().max()))
    assert found.mean_difference == pytest.approx(float((reference - candidate).abs().mean() / reference.abs().max()))
    assert found.kl == pytest.approx(float(kl.mean()))
    assert found.kl_p99 == pytest.approx(float(kl.quantile(0.99)))
    assert found.kl_max == pytest.approx(float(kl.max()))
    assert found.top1 == float((reference.argmax(1) == candidate.argmax(1)).double().mean())
    assert found.perplexity == pytest.approx(float((-q[rows, following].mean()).exp()))
    assert found.reference_perplexity == pytest.approx(float((-p[rows, following].mean()).exp()))
    assert (found.worst, found.worst_kl) == max(
        (("a", pytest.approx(float(kl[:2].mean()))), ("b", pytest.approx(float(kl[2:].mean())))),
        key=lambda each: each[1].expected,
    )
    assert found.worst_difference == pytest.approx(
        max(
            float((reference[part] - candidate[part]).abs().max() / reference[part].abs().max())
            for part in (slice(0, 2), slice(2, 6))
        )
    )
    common = [
        set(a.tolist()) & set(b.tolist())
        for a, b in zip(reference.topk(5).indices, candidate.topk(5).indices, strict=True)
    ]
    assert found.top5 == pytest.approx(sum(map(len, common)) / 30)


def close(found: Figures, whole: Figures) -> None:
    names: Sequence[str] = ("kl", "kl_p99", "kl_max", "mean_difference", "perplexity", "reference_perplexity")
    assert [getattr(found, name) for name in names] == pytest.approx([getattr(whole, name) for name in names], rel=1e-9)
    assert (found.top1, found.top5, found.scale, found.worst) == (whole.top1, whole.top5, whole.scale, whole.worst)
    assert found.max_difference == whole.max_difference
    assert found.worst_difference == whole.worst_difference


@pytest.mark.parametrize("width", [1, 2, 7, 49, 50])
def test_windows_of_any_width_give_the_same(width: int) -> None:
    reference, candidate = pair(seed=1)

    close(compare(reference, candidate, width), compare(reference, candidate))


def test_conversations_one_by_one_give_the_same() -> None:
    reference, candidate = pair(seed=2)
    first, second = (Comparison({name: ids}) for name, ids in IDS.items())
    first.add(reference[:2], candidate[:2])
    second.add(reference[2:], candidate[2:])

    close(figures([first, second]), compare(reference, candidate))


def test_equal_logits_differ_by_nothing() -> None:
    reference, _ = pair()
    found = compare(reference, reference.clone())

    assert (found.max_difference, found.kl, found.top1, found.top5, found.perplexity_change) == (0, 0, 1, 1, 0)
    assert found.alike()["max_difference"] == 1e-5  # not finer than what machines agree on
    assert found.alike()["worst"] is None


@pytest.mark.parametrize(("first", "second"), [(1, math.nan), (math.nan, 1), (math.inf, math.inf), (1, -math.inf)])
def test_logits_that_are_not_numbers_are_an_error_not_a_pass(first: float, second: float) -> None:
    reference, candidate = pair()
    reference[3, 7], candidate[3, 7] = first, second

    with pytest.raises(StageError, match="logits are infinite or NaN: one of the models is broken"):
        compare(reference, candidate)


def test_other_vocabularies_and_nothing_at_all_are_not_compared() -> None:
    reference, candidate = pair()

    with pytest.raises(StageError) as caught:
        Comparison(IDS).add(reference, candidate[:, :40])
    assert str(caught.value) == (
        "parity: logits [6, 50] of the reference, [6, 40] of the candidate: tokens or vocabularies differ"
    )
    for ids in ({}, {"a": [1], "b": []}):
        with pytest.raises(StageError) as caught:
            figures([Comparison(ids)])
        assert str(caught.value) == "parity: nothing was compared: no conversation has two tokens or more"


@pytest.mark.parametrize(
    ("value", "published"), [(0.0, 1e-5), (1e-5, 1e-5), (0.01234, 0.013), (0.2, 0.2), (0.995, 1.0), (12.01, 13.0)]
)
def test_published_figures_are_rounded_up(value: float, published: float) -> None:
    assert at_most(value) == published
