"""Fits the second voice about harm and measures it on the sentences held out: `python -m tools.suspect`.

It learns from `tests/golden/harm/tuned.tsv` and from what the tiny profile trains on, and writes the weights and the
figures beside `so8t/corpus/suspect/scoring.py`.  What was held out is only measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from so8t.corpus import harm
from so8t.corpus.suspect import scoring

ROOT = Path(__file__).parents[1]
TUNED, HELD_OUT = (ROOT / "tests/golden/harm" / name for name in ("tuned.tsv", "heldout.tsv"))
TINY = ROOT / "specs/tiny/corpus/train.jsonl"
FOLDS, LEAST, C = 5, 2, 5.0
SMALLEST = 300  # of a weight that is kept: a smaller one moves a sentence of 60 characters by 0.03 of a logit at most
THRESHOLDS = (0.5, 0.7, 0.8, 0.9)
_Z = 1.96  # of 95 %


class Line(NamedTuple):
    text: str
    harmful: bool
    group: str  # those of one act stay in one fold


def tuned() -> list[Line]:
    """Templates and lines by hand; then the questions of tiny, and each of its answers once, for they do no harm."""
    rows = [line.split("\t") for line in TUNED.read_text("utf-8").splitlines()]
    found = [Line(text, label == "harm", group) for label, _, group, text in rows]
    records = [json.loads(line) for line in TINY.read_text("utf-8").splitlines()]
    found += [Line(one["text"], one["label"] == "REFUSE", one["tags"]["pattern"]) for one in records]
    return found + [Line(answer, False, answer) for answer in sorted({one["answer"] for one in records})]


def held_out() -> list[Line]:
    """The Japanese ones."""
    rows = [line.split("\t") for line in HELD_OUT.read_text("utf-8").splitlines()]
    return [Line(text, label == "harm", topic) for label, topic, text in rows if not text.isascii()]


def fit(lines: Sequence[Line]) -> scoring.Weights:
    """Platt's two numbers are fitted on scores of models that never saw the act, and go into the weights."""
    import numpy
    from scipy import sparse
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.linear_model import LogisticRegression

    vocabulary = CountVectorizer(analyzer=lambda text: sorted(scoring.grams(text)), min_df=LEAST, dtype=numpy.float64)
    counts = vocabulary.fit_transform([line.text for line in lines])
    lengths = numpy.array([1 / math.sqrt(len(scoring.grams(line.text))) for line in lines])
    features = (sparse.diags(lengths) @ counts).tocsr()
    truth = numpy.array([line.harmful for line in lines])
    folds = numpy.array([blake2b(line.group.encode(), digest_size=1).digest()[0] % FOLDS for line in lines])
    logits = numpy.zeros(len(lines))
    for fold in range(FOLDS):
        here = folds == fold
        model = LogisticRegression(C=C, solver="liblinear", random_state=0).fit(features[~here], truth[~here])
        logits[here] = model.decision_function(features[here])
    platt = LogisticRegression(C=1e6).fit(logits[:, None], truth)
    model = LogisticRegression(C=C, solver="liblinear", random_state=0).fit(features, truth)
    slope, shift = float(platt.coef_[0, 0]) * scoring.UNIT, float(platt.intercept_[0]) * scoring.UNIT
    scaled = dict(zip(vocabulary.get_feature_names_out(), (model.coef_[0] * slope).round().astype(int), strict=True))
    bias = round(float(model.intercept_[0]) * slope + shift)
    return scoring.Weights(
        bias, {gram: int(weight) for gram, weight in sorted(scaled.items()) if abs(weight) >= SMALLEST}
    )


def measure(lines: Sequence[Line]) -> dict[str, Any]:
    """Patterns, the second voice, and either; and how honest its probabilities are."""
    table = harm.Table(harm.DEFAULT)
    named = [bool(table.categories([line.text])) for line in lines]
    likely = [scoring.probability(line.text) for line in lines]
    truth = [line.harmful for line in lines]
    voices = {"patterns": figures(truth, named)}
    for least in THRESHOLDS:
        said = [one >= least for one in likely]
        voices[f"suspect {least}"] = figures(truth, said)
        voices[f"either {least}"] = figures(truth, [a or b for a, b in zip(said, named, strict=True)])
    return {
        "sentences": len(lines),
        "harmful": sum(truth),
        "voices": voices,
        "brier": round(sum((p - t) ** 2 for p, t in zip(likely, truth, strict=True)) / len(lines), 4),
        "reliability": reliability(truth, likely),
    }


def figures(truth: Sequence[bool], said: Sequence[bool]) -> dict[str, Any]:
    found = sum(t and s for t, s in zip(truth, said, strict=True))
    wrong = sum(s and not t for t, s in zip(truth, said, strict=True))
    return {
        "found": found,
        "wrong": wrong,
        "recall": share(found, sum(truth)),
        "precision": share(found, found + wrong),
    }


def share(part: int, whole: int) -> list[float] | None:
    """A share and its interval of 95 %, after Wilson."""
    if not whole:
        return None
    at, spread = part / whole, _Z * _Z / whole
    middle = (at + spread / 2) / (1 + spread)
    half = _Z * math.sqrt(at * (1 - at) / whole + spread / whole / 4) / (1 + spread)
    return [round(one, 3) for one in (at, max(0.0, middle - half), min(1.0, middle + half))]


def reliability(truth: Sequence[bool], likely: Sequence[float]) -> list[dict[str, float]]:
    """By fifths of the probability: what was said, and how many were harmful."""
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(5)]
    for p, t in zip(likely, truth, strict=True):
        bins[min(int(p * 5), 4)].append((p, t))
    return [
        {"from": at / 5, "sentences": len(each), "said": round(sum(p for p, _ in each) / len(each), 3),
         "harmful": round(sum(t for _, t in each) / len(each), 3)}
        for at, each in enumerate(bins) if each
    ]  # fmt: skip


def write() -> None:
    found = fit(tuned())
    told = {"bias": found.bias, "grams": found.grams}
    scoring.WEIGHTS.write_text(json.dumps(told, ensure_ascii=False, indent=0) + "\n", "utf-8", newline="\n")
    scoring.weights.cache_clear()
    figures = json.dumps(measure(held_out()), ensure_ascii=False, indent=1)
    scoring.FIGURES.write_text(figures + "\n", "utf-8", newline="\n")


if __name__ == "__main__":
    write()
