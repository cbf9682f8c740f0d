"""Whole models compared, on distributions whose figures are known, in the words of every type's message."""

from __future__ import annotations

import math

import numpy as np
import pytest

from so8t.errors import StageError
from so8t.gguf import making
from so8t.parity import engines
from tests.parity.test_bounds import FIGURES

HALVES = np.log(np.array([[0.5, 0.5]] * 3, dtype=np.float32))
TILTED = np.log(np.array([[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]], dtype=np.float32))


def test_a_model_is_nearest_to_itself() -> None:
    figures = engines.compare(lambda ids: TILTED, lambda ids: TILTED, {"test:1": [0, 1, 0], "test:2": [0]})

    assert figures.apart() == {
        "conversations": 1,  # one of a single token says nothing
        "tokens": 3,
        "kl": 0.0,
        "kl_p99": 0.0,
        "kl_max": 0.0,
        "top1": 1.0,
        "perplexity": pytest.approx(math.sqrt(8), abs=1e-3),  # 1/2 and then 1/4 for what followed
        "reference_perplexity": pytest.approx(math.sqrt(8), abs=1e-3),
        "worst_difference": 0.0,
        "perplexity_change": 0.0,
    }


def test_divergence_is_from_the_reference_and_in_nats() -> None:
    figures = engines.compare(lambda ids: HALVES, lambda ids: TILTED, {"test:1": [0, 1, 0]})

    one = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert figures.kl == pytest.approx(one / 3)
    assert figures.kl_max == pytest.approx(one)
    assert figures.top1 == pytest.approx(2 / 3)
    assert figures.perplexity_change == pytest.approx(math.sqrt(2) - 1)


def test_a_constant_added_to_logits_changes_no_distribution() -> None:
    figures = engines.compare(lambda ids: TILTED, lambda ids: TILTED + np.float32(5), {"test:1": [0, 1, 0]})

    assert figures.kl == pytest.approx(0, abs=1e-6)
    assert figures.perplexity_change == pytest.approx(0, abs=1e-6)


def test_a_vocabulary_of_many_windows_is_compared_whole() -> None:
    generator = np.random.default_rng(0)
    first = generator.standard_normal((3, 10_000), dtype=np.float32)
    second = first + generator.standard_normal((3, 10_000), dtype=np.float32) / 10
    figures = engines.compare(lambda ids: first, lambda ids: second, {"test:1": [0, 5_000, 9_999]})
    p, q = (each.astype(np.float64) for each in (first, second))
    p, q = (each - np.log(np.exp(each).sum(1, keepdims=True)) for each in (p, q))

    assert figures.kl == pytest.approx(float((np.exp(p) * (p - q)).sum(1).mean()))
    assert figures.perplexity == pytest.approx(float(np.exp(-(q[0, 5_000] + q[1, 9_999]) / 2)))
    assert figures.max_difference == pytest.approx(float(np.abs(first - second).max() / np.abs(first).max()))


def test_a_vocabulary_of_another_size_is_not_compared() -> None:
    with pytest.raises(StageError) as caught:
        engines.compare(lambda ids: HALVES, lambda ids: HALVES[:, :1], {"test:1": [0, 1, 0]})

    assert str(caught.value) == (
        "parity: logits [3, 2] of the reference, [3, 1] of the candidate: tokens or vocabularies differ"
    )


def test_no_text_is_an_error() -> None:
    with pytest.raises(StageError, match="nothing was compared: no conversation has two tokens or more"):
        engines.compare(lambda ids: HALVES, lambda ids: HALVES, {"test:1": [1], "test:2": []})


@pytest.mark.parametrize(
    ("kind", "bound", "advice"),
    [
        (
            "f16",
            "mean KL divergence 0.31 is over 0.001 (kl); perplexity changes by +20.0%, over 1.0% (perplexity); top-1 "
            "agreement 0.800 is below 0.98 (top1)",
            "the conversion is wrong, or the weights do not fit into the type: compare with f32 and bf16 in types",
        ),
        (
            "q8_0",
            "mean KL divergence 0.31 is over 0.01 (kl); perplexity changes by +20.0%, over 2.0% (perplexity); top-1 "
            "agreement 0.800 is below 0.95 (top1)",
            "try f16 in types",
        ),
        (
            "q4_k_m",
            "mean KL divergence 0.31 is over 0.15 (kl); perplexity changes by +20.0%, over 15.0% (perplexity); top-1 "
            "agreement 0.800 is below 0.85 (top1)",
            "try q5_k_m, q6_k or q8_0 in types, or an imatrix",
        ),
    ],
)
def test_passed_bounds_name_step_figure_bound_and_the_next_thing_to_try(kind: str, bound: str, advice: str) -> None:
    with pytest.raises(StageError) as caught:
        making.checked("baked", kind, FIGURES, {}, 2048)

    assert str(caught.value) == (
        f"gguf: baked -> {kind}: {bound}; over 6,056 tokens of 64 held-out conversations, worst in test:3; {advice}, "
        f"or accept it with bounds.{kind} in gguf.yaml"
    )


@pytest.mark.parametrize(
    ("config", "tokens"),
    [
        ({}, 256),
        ({"max_position_embeddings": 128}, 128),
        ({"rope_parameters": {"long_factor": [1.0], "original_max_position_embeddings": 64}}, 64),
        ({"rope_parameters": {"long_factor": [1.0]}, "original_max_position_embeddings": 96}, 96),
        ({"model_type": "phi3", "sliding_window": 48}, 48),
        ({"model_type": "gemma2", "sliding_window": 48}, 256),
    ],
)
def test_texts_are_compared_as_far_as_both_engines_mean_the_same(config: dict[str, object], tokens: int) -> None:
    assert engines.longest({"max_position_embeddings": 4096, **config}, 256) == tokens
