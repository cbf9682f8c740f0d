"""What the answers of a model without classes are worth: loss, format, and what a spec asks of them.  Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from so8t.evals import bootstrap, withheld
from so8t.evals.outcomes import Outcome
from so8t.formats.thinking import FormatError, ThinkingFormat, read

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Loss:
    """Of what is learned in one conversation: the sum over its tokens, and how many there are."""

    total: float
    tokens: int


@dataclass
class Valid:
    """Answers counted by whether they keep the format: what Scores is where answers name a class."""

    records: int = 0
    valid: int = 0

    def add(self, truth: None, text: str, fmt: ThinkingFormat) -> None:
        self.records += 1
        try:
            read(text, fmt)
        except FormatError:
            return
        self.valid += 1

    def figures(self) -> dict[str, Any]:
        return {"records": self.records, "format_valid": round(self.valid / self.records, 6) if self.records else None}


def scores(
    by_model: Mapping[str, Sequence[Outcome]],
    expected: Sequence[str],
    losses: Mapping[str, Sequence[Loss]],
    patterns: Mapping[str, str],
    weights: NDArray[np.float64],
    base: str,
    fmt: ThinkingFormat,
) -> dict[str, dict[str, Any]]:
    """The figures of one split with intervals, and of what each model has more than the base.

    `expected` are the records' own answers; what is shown of an answer is held against them and the patterns.
    """
    texts = {name: [shown(one, fmt) for one in found] for name, found in by_model.items()}
    columns = {name: _columns(found, texts[name], expected, losses[name], patterns) for name, found in by_model.items()}
    rates = {name: _rates(each, weights) for name, each in columns.items()}
    found = {}
    for name, outcomes in by_model.items():
        one = {key: _rounded(values) for key, values in _rates(columns[name], _once(len(outcomes))).items()}
        whole = {"mode": "thinking", "records": len(outcomes), "leaks": sum(bool(each.leaks) for each in outcomes)}
        found[name] = {
            **whole,
            **withheld.counted(each.kept for each in outcomes),
            **one,
            "perplexity": _perplexity(one["loss"]),
        }
        found[name]["intervals"] = bootstrap.intervals(rates[name])
        if base in rates and name != base:
            found[name]["more_than_base"] = bootstrap.difference(rates[name], rates[base])
    return found


def shown(outcome: Outcome, fmt: ThinkingFormat) -> str:
    """What a requester sees of an answer; nothing where it breaks the format."""
    return "" if outcome.problem is not None else read(outcome.text, fmt).shown


def _columns(
    found: Sequence[Outcome],
    texts: Sequence[str],
    answers: Sequence[str],
    losses: Sequence[Loss],
    patterns: Mapping[str, str],
) -> dict[str, list[tuple[float, float]]]:
    """For each figure, what each record adds to it, and to what it is divided by."""
    columns = {
        "loss": [(one.total, float(one.tokens)) for one in losses],
        "format_valid": [(float(one.problem is None), 1.0) for one in found],
        "exact": [(float(_same(text, answer)), 1.0) for text, answer in zip(texts, answers, strict=True)],
    }
    for name, pattern in patterns.items():
        compiled = re.compile(pattern, re.MULTILINE)
        columns[f"matches {name}"] = [(float(bool(text and compiled.search(text))), 1.0) for text in texts]
    return columns


def _same(text: str, answer: str) -> bool:
    """White space around it aside."""
    return bool(text) and text.strip() == answer.strip()


def _rates(columns: Mapping[str, Sequence[tuple[float, float]]], weights: NDArray[np.float64]) -> bootstrap.Rates:
    import numpy as np

    found = {}
    for name, pairs in columns.items():
        parts, wholes = np.array(pairs, dtype=np.float64).T
        found[name] = bootstrap.share(weights @ parts, weights @ wholes)
    return found


def _once(count: int) -> NDArray[np.float64]:
    import numpy as np

    return np.ones((1, count))


def _rounded(values: NDArray[np.float64]) -> float | None:
    value = float(values[0])
    return round(value, 6) if math.isfinite(value) else None


def _perplexity(loss: float | None) -> float | None:
    return None if loss is None or loss > 700 else round(math.exp(loss), 4)
