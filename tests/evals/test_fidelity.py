"""How far answers may be from PyTorch's, and what is said where they are farther."""

from __future__ import annotations

from pathlib import Path

import pytest

from so8t.errors import StageError
from so8t.evals import fidelity
from so8t.evals.fidelity import Given
from so8t.evals.outcomes import Outcome
from so8t.formats import records


def outcomes(right: int, of: int) -> list[Outcome]:
    said = ["DENY"] * right + ["ALLOW"] * (of - right)
    return [Outcome(f"r{at}", "DENY", one, 1.0, None, "stop", one) for at, one in enumerate(said)]  # type: ignore[arg-type]


def given(right: int, of: int) -> dict[tuple[str, str], Given]:
    return {("test", one.id): Given("DENY", one.said, one.text) for one in outcomes(right, of)}


def problems(kind: str, right: int, reference: int, of: int, **bounds: float) -> list[str]:
    found = fidelity.compare(outcomes(right, of), given(reference, of), "test", kind, bounds)
    return fidelity.problems("test", kind, of, found)


def test_both_accuracies_and_the_same_answers_are_counted() -> None:
    assert fidelity.compare(outcomes(6, 10), given(8, 10), "test", "q8_0", {}) == {
        "accuracy": 0.8,
        "difference": -0.2,
        "bound": 0.02,
        "same_class": 0.8,
        "same_text": 0.8,
    }


def test_a_type_that_is_too_far_away_is_named_with_its_figures() -> None:
    assert fidelity.missed([]) == []
    assert fidelity.missed(problems("q8_0", 183, 200, 240) + problems("q4_k_m", 150, 200, 240)) == [
        "test: q8_0 answers 0.762 of 240 records rightly, PyTorch 0.833: 0.071 apart, over 0.02; "
        "test: q4_k_m answers 0.625 of 240 records rightly, PyTorch 0.833: 0.208 apart, over 0.05; "
        "try a larger type in types of gguf.yaml, or accept it with bounds in evaluation.yaml"
    ]


@pytest.mark.parametrize(
    ("kind", "most"), [("f16", 10), ("q8_0", 20), ("q4_k_m", 50), ("iq2_m", 50)], ids=["f16", "q8_0", "q4_k_m", "other"]
)
def test_each_type_has_its_bound_up_and_down(kind: str, most: int) -> None:
    assert problems(kind, 500 - most, 500, 1000) == [] == problems(kind, 500 + most, 500, 1000)
    assert problems(kind, 499 - most, 500, 1000) != [] != problems(kind, 501 + most, 500, 1000)


def test_one_record_of_few_is_no_failure() -> None:
    assert problems("f16", 8, 9, 10) == []
    assert problems("f16", 7, 9, 10) != []


def test_a_bound_of_ones_own_takes_the_place_of_the_usual_one() -> None:
    assert problems("f16", 70, 90, 100, f16=0.2) == []


def test_only_the_adapter_s_answers_are_read(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    line = {"split": "test", "id": "r1", "label": "DENY"}
    records.write(path, [{"who": who, **line, "said": None, "text": who} for who in ("base", "adapter")])

    assert fidelity.read(path) == {("test", "r1"): Given("DENY", None, "adapter")}


def test_records_that_pytorch_never_answered_are_refused() -> None:
    with pytest.raises(StageError) as caught:
        fidelity.check_answered(given(2, 2), {"novel": ["r0"]})
    assert str(caught.value) == "evaluation: adapter_scores answered nothing of novel: name it in its splits, too"

    with pytest.raises(StageError) as caught:
        fidelity.check_answered(given(2, 2), {"test": ["r0", "r1", "r2"]})
    assert str(caught.value) == (
        "evaluation: adapter_scores answered 2 of the 3 records of test: set conversations to the same number in both"
    )
