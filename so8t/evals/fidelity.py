"""A GGUF's answers beside those that PyTorch gave to the same records, and how far they may be apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from so8t.errors import StageError
from so8t.evals.outcomes import Outcome

USUAL: Mapping[str, float] = {"f32": 0.01, "f16": 0.01, "bf16": 0.02, "q8_0": 0.02, "q6_k": 0.03, "q5_k_m": 0.04}
LOOSE = 0.05  # q4_k_m, and whatever is not named


@dataclass(frozen=True)
class Given:
    """What PyTorch's model answered, as it is kept: without personal data."""

    label: str | None
    said: str | None
    text: str


Reference = Mapping[tuple[str, str], Given]  # (split, id)


def read(samples: Path) -> dict[tuple[str, str], Given]:
    """The adapter's answers of adapter_scores."""
    found = {}
    with samples.open("rb") as lines:
        for line in map(orjson.loads, lines):
            if line["who"] == "adapter":
                found[line["split"], line["id"]] = Given(line["label"], line["said"], line["text"])
    return found


def check_answered(given: Reference, asked: Mapping[str, Sequence[str]]) -> None:
    """Every record that is asked was answered in PyTorch; else the message says what to change."""
    for split, ids in asked.items():
        there = sum((split, number) in given for number in ids)
        if not there:
            raise StageError(f"evaluation: adapter_scores answered nothing of {split}: name it in its splits, too")
        if there < len(ids):
            raise StageError(
                f"evaluation: adapter_scores answered {there} of the {len(ids)} records of {split}: "
                "set conversations to the same number in both"
            )


def compare(outcomes: Sequence[Outcome], given: Reference, split: str, kind: str, bounds: Mapping[str, float]) -> Any:
    """Both accuracies, and how many answers are the same; `bound` is what `problems` holds them to."""
    beside = [(one, given[split, one.id]) for one in outcomes]
    count = len(beside)
    right = sum(one.said == one.label for one in outcomes)
    reference = sum(other.said == one.label for one, other in beside)
    return {
        "accuracy": round(reference / count, 6),
        "difference": round((right - reference) / count, 6),
        "bound": bounds.get(kind, USUAL.get(kind, LOOSE)),
        "same_class": round(sum(one.said == other.said for one, other in beside) / count, 6),
        "same_text": round(sum(one.shown == other.text for one, other in beside) / count, 6),
    }


def alike(outcomes: Sequence[Outcome], given: Reference, split: str) -> dict[str, float]:
    """How many answers without a class are the same: no bound, for `gguf` holds each type to the logits."""
    same = sum(one.shown == given[split, one.id].text for one in outcomes)
    return {"same_text": round(same / len(outcomes), 6)}


def problems(split: str, kind: str, records: int, figures: Mapping[str, Any]) -> list[str]:
    """What is too far from PyTorch; one record more or less never is, however few there are."""
    difference, bound = figures["difference"], figures["bound"]
    if abs(difference) <= max(bound, 1 / records) + 1e-6:
        return []
    return [
        f"{split}: {kind} answers {figures['accuracy'] + difference:.3f} of {records} records rightly, PyTorch "
        f"{figures['accuracy']:.3f}: {abs(difference):.3f} apart, over {bound:g}"
    ]


def missed(found: Sequence[str]) -> list[str]:
    hint = "try a larger type in types of gguf.yaml, or accept it with bounds in evaluation.yaml"
    return [f"{'; '.join(found)}; {hint}"] if found else []
