"""Answers whose class another model changed: how many of each class, and which records.

A type of file is compared with the unquantised one, where that was asked; an unquantised type with PyTorch's model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from so8t.evals.fidelity import Reference
from so8t.evals.outcomes import Outcome
from so8t.formats.records import LABELS, NO_FORMAT
from so8t.gguf.full import FULL

PYTORCH = "pytorch"
CLASSES = (*LABELS, NO_FORMAT)


def flips(by_model: Mapping[str, Sequence[Outcome]], kind: str, given: Reference, split: str) -> dict[str, Any]:
    """`became[before][after]` counts records, `of` all that had the class before; `records` are those that changed."""
    full = next((each for each in FULL if each in by_model), None)
    against = full if full and kind not in FULL else PYTORCH
    if against == PYTORCH:
        before = {one.id: given[split, one.id].said for one in by_model[kind]}
    else:
        before = {one.id: one.said for one in by_model[against]}
    pairs = [(one.id, before[one.id] or NO_FORMAT, one.said or NO_FORMAT) for one in by_model[kind]]
    classes = [one for _, one, _ in pairs]
    return {
        "against": against,
        "of": {label: classes.count(label) for label in CLASSES},
        "became": {label: _became(label, pairs) for label in CLASSES if label in classes},
        "records": [{"id": number, "from": one, "to": other} for number, one, other in pairs if one != other],
    }


def _became(label: str, pairs: Sequence[tuple[str, str, str]]) -> dict[str, int]:
    """Of those that had this class: how many have each of the others now."""
    now = [other for _, one, other in pairs if one == label]
    return {each: now.count(each) for each in CLASSES if each != label}
