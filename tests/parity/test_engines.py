"""Figures of likeness, on distributions whose figures are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from so8t.errors import StageError
from so8t.parity import engines, heldout, types
from so8t.parity.engines import Figures
from so8t.parity.types import Bound

HALVES = np.log(np.array([[0.5, 0.5]] * 3, dtype=np.float32))
TILTED = np.log(np.array([[0.5, 0.5], [0.25, 0.75], [0.5, 0.5]], dtype=np.float32))
FIGURES = Figures(64, 6056, 0.31, 0.9, 2.0, 0.8, 12.0, 10.0, 0.1)


def test_a_model_is_nearest_to_itself() -> None:
    figures = engines.compare(lambda ids: TILTED, lambda ids: TILTED, [[0, 1, 0], [0]])

    assert figures.as_json() == {
        "texts": 1,  # a text of one token says nothing
        "tokens": 3,
        "divergence": 0.0,
        "divergence_p99": 0.0,
        "divergence_max": 0.0,
        "agreement": 1.0,
        "perplexity": pytest.approx(math.sqrt(8), abs=1e-3),  # 1/2 and then 1/4 for what followed
        "reference_perplexity": pytest.approx(math.sqrt(8), abs=1e-3),
        "difference": 0.0,
        "perplexity_change": 0.0,
    }


def test_divergence_is_from_the_reference_and_in_nats() -> None:
    figures = engines.compare(lambda ids: HALVES, lambda ids: TILTED, [[0, 1, 0]])

    one = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert figures.divergence == pytest.approx(one / 3)
    assert figures.divergence_max == pytest.approx(one)
    assert figures.agreement == pytest.approx(2 / 3)
    assert figures.perplexity_change == pytest.approx(math.sqrt(2) - 1)


def test_a_constant_added_to_logits_changes_no_distribution() -> None:
    figures = engines.compare(lambda ids: TILTED, lambda ids: TILTED + np.float32(5), [[0, 1, 0]])

    assert figures.divergence == pytest.approx(0, abs=1e-6)
    assert figures.perplexity_change == pytest.approx(0, abs=1e-6)


def test_no_text_is_an_error() -> None:
    with pytest.raises(ValueError, match="no text of two tokens or more"):
        engines.compare(lambda ids: HALVES, lambda ids: HALVES, [[1], []])


def test_passed_bounds_name_step_figure_bound_and_the_next_thing_to_try() -> None:
    with pytest.raises(StageError) as caught:
        types.check("f16 -> q4_k_m", "q4_k_m", FIGURES, types.of("q4_k_m", {}))

    assert str(caught.value) == (
        "gguf: f16 -> q4_k_m: mean KL divergence 0.31 is above 0.15 (divergence); perplexity changes by +20.0%, "
        "over 15.0% (perplexity); top-1 agreement 0.800 is below 0.85 (agreement), over 6,056 tokens of "
        "64 held-out texts; try q5_k_m, q6_k or q8_0 in types, or an imatrix, or accept it with bounds.q4_k_m "
        "in gguf.yaml"
    )


def test_a_named_bound_replaces_the_usual_one() -> None:
    loose = Bound(divergence=1, perplexity=1, agreement=0.1)

    types.check("f16 -> q4_k_m", "q4_k_m", FIGURES, types.of("q4_k_m", {"q4_k_m": loose}))


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
    assert heldout.longest({"max_position_embeddings": 4096, **config}, 256) == tokens
