"""How far the labels of rules and classifier agree with the labels that people gave."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from so8t.corpus.rules import SEVERITY
from so8t.formats.records import LABELS, Label

BINS = 10
OPEN = "(no rule)"  # the column of records that no rule matches


@dataclass
class Tally:
    """The decisions of one labeller, counted against the given labels."""

    confusion: Counter[tuple[Label, Label | None]] = field(default_factory=Counter)
    bins: list[list[float]] = field(default_factory=lambda: [[0, 0.0, 0] for _ in range(BINS)])

    def add(self, truth: Label, decided: Label | None, confidence: float | None = None) -> None:
        """`decided` is None where the labeller is silent; `confidence` where it claims none."""
        self.confusion[truth, decided] += 1
        if confidence is not None:
            claims = self.bins[min(int(confidence * BINS), BINS - 1)]
            claims[0] += 1
            claims[1] += confidence
            claims[2] += truth == decided

    def figures(self) -> dict[str, Any]:
        records = self.confusion.total()
        covered = sum(count for (_, decided), count in self.confusion.items() if decided)
        right = sum(self.confusion[label, label] for label in LABELS)
        milder = sum(n for (truth, decided), n in self.confusion.items() if decided and _milder(decided, truth))
        classes = {label: self._class_figures(label) for label in LABELS}
        scored = [figures["f1"] for figures in classes.values() if figures["given"] or figures["decided"]]
        return {
            "records": records,
            "coverage": _share(covered, records),
            "accuracy": _share(right, covered),
            "milder_than_given": _share(milder, covered),
            "macro_f1": _share(sum(scored), len(scored)),
            "expected_calibration_error": self._calibration_error(),
            "classes": classes,
            "confusion": {label: self._row(label) for label in LABELS},
        }

    def _class_figures(self, label: Label) -> dict[str, Any]:
        right = self.confusion[label, label]
        given = sum(count for (truth, _), count in self.confusion.items() if truth == label)
        decided = sum(count for (_, decision), count in self.confusion.items() if decision == label)
        return {
            "precision": _share(right, decided),
            "recall": _share(right, given),
            "f1": _share(2 * right, given + decided),
            "given": given,
            "decided": decided,
        }

    def _row(self, truth: Label) -> dict[str, int]:
        row: dict[str, int] = {label: self.confusion[truth, label] for label in LABELS}
        silent = self.confusion[truth, None]
        return {**row, OPEN: silent} if silent else row

    def _calibration_error(self) -> float | None:
        claims = sum(count for count, _, _ in self.bins)
        if not claims:
            return None
        return round(
            sum(abs(confidence - right) for _, confidence, right in self.bins) / claims,
            4,
        )


@dataclass
class Agreement:
    """One set of given labels held out from whoever is scored: three labellers, side by side."""

    rules: Tally = field(default_factory=Tally)
    classifier: Tally = field(default_factory=Tally)
    together: Tally = field(default_factory=Tally)
    unsure: int = 0

    def figures(self, trained: bool) -> dict[str, Any]:
        return {
            "rules": self.rules.figures(),
            "classifier": self.classifier.figures() if trained else None,
            "together": {
                **self.together.figures(),
                "sent_to_a_person": self._unsure_share(),
            },
        }

    def _unsure_share(self) -> float:
        return _share(self.unsure, self.together.confusion.total())


def _milder(decided: Label, truth: Label) -> bool:
    return SEVERITY[decided] < SEVERITY[truth]


def _share(part: float, whole: float) -> float:
    return round(part / whole, 4) if whole else 0.0
