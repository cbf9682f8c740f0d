"""Fits the voice about bare names: `python -m tools.bare [--crossed]`.

It learns from `tests/golden/pii/authors.jsonl`, texts by authors who have never seen a rule, from `tuned.jsonl`, from
sentences that `tests/corpus/piisentences.py` makes, from `nonames.txt` and from what the tiny profile trains on, and
writes the weights beside `so8t/corpus/bare/scoring.py`.
`--crossed` writes nothing and says how it does on texts of the authors that it did not learn from, with the rules and
alone.  What is held out is never read here.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import numpy
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from so8t.corpus import names
from so8t.corpus.bare import scoring
from so8t.corpus.findings import Span, folded
from so8t.evals import personal
from tests.corpus import piisentences

PARTS = tuple(Path(__file__).parents[1] / "tests/golden/pii" / f"{name}.jsonl" for name in ("authors", "tuned"))
NAMELESS = PARTS[0].parent / "nonames.txt"  # words of IPADIC that hold a family name, most of them places; and forms
TINY = Path(__file__).parents[1] / "specs/tiny/corpus/train.jsonl"
CARRIERS = ("{}", "{}に行きました。", "{}の近く", "来週、{}で", "・{}\n")
FOLDS, LEAST, C = 5, 2, 1.0
SMALLEST = 60  # of a weight that is kept
THRESHOLD = -1000  # of the sum: chosen on texts that were not learned from, where 6 of 7 findings are right
THRESHOLDS = (-1500, -1000, -800, -600, -400, -200, 0, 500)


class Place(NamedTuple):
    """Of a candidate: its text's number, where it stands, its marks, and whether it is a name."""

    text: int
    start: int
    end: int
    marks: Sequence[str]
    named: bool


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def without_names() -> list[dict[str, Any]]:
    lines = NAMELESS.read_text("utf-8").splitlines()
    carried = (line if " " in line else CARRIERS[at % len(CARRIERS)].format(line) for at, line in enumerate(lines))
    return [{"text": text, "spans": []} for text in carried]


def tiny() -> list[dict[str, Any]]:
    """What the tiny profile trains on; the names in it all have an honorific or a title, so the rules find them."""
    told = (json.loads(line) for line in TINY.read_text("utf-8").splitlines())
    texts = sorted({text for one in told for text in (one["text"], one["answer"])})
    return [
        {"text": text, "spans": [[one.start, one.end, "name"] for one in names.by_rules(folded(text))]}
        for text in texts
    ]


def places(lines: Iterable[Mapping[str, Any]]) -> list[Place]:
    found: list[Place] = []
    for number, line in enumerate(lines):
        named = {(start, end) for start, end, kind in line["spans"] if kind == "name"}
        for start, one, around in scoring.with_context(folded(line["text"])):
            end = start + one.size
            found.append(Place(number, start, end, [*dict.fromkeys([*one.marks, *around])], (start, end) in named))
    return found


class Fitted(NamedTuple):
    columns: dict[str, int]
    model: Any

    def logits(self, those: Sequence[Place]) -> Any:
        return self.model.decision_function(_matrix(those, self.columns))

    def weights(self) -> scoring.Weights:
        scaled = (self.model.coef_[0] * scoring.UNIT).round().astype(int)
        kept = {mark: int(scaled[at]) for mark, at in self.columns.items() if abs(scaled[at]) >= SMALLEST}
        return scoring.Weights(round(float(self.model.intercept_[0]) * scoring.UNIT), THRESHOLD, kept)


def fit(those: Sequence[Place]) -> Fitted:
    counts = Counter(mark for place in those for mark in place.marks)
    columns = {mark: at for at, mark in enumerate(sorted(mark for mark, count in counts.items() if count >= LEAST))}
    truth = [place.named for place in those]
    return Fitted(
        columns, LogisticRegression(C=C, solver="liblinear", random_state=0).fit(_matrix(those, columns), truth)
    )


def _matrix(those: Sequence[Place], columns: Mapping[str, int]) -> Any:
    rows = [[columns[mark] for mark in place.marks if mark in columns] for place in those]
    ends = numpy.cumsum([0, *map(len, rows)])
    entries = numpy.concatenate([numpy.array(row, dtype=numpy.int32) for row in rows])
    return sparse.csr_matrix((numpy.ones(len(entries)), entries, ends), shape=(len(rows), len(columns)))


def crossed(lines: Sequence[Mapping[str, Any]]) -> list[float]:
    """The sum of each candidate by a model that never saw its text."""
    those = places(lines)
    folds = [blake2b(line["text"].encode(), digest_size=1).digest()[0] % FOLDS for line in lines]
    logits = numpy.zeros(len(those))
    for fold in range(FOLDS):
        here = numpy.array([folds[place.text] == fold for place in those])
        fitted = fit([place for place, out in zip(those, here, strict=True) if not out])
        logits[here] = fitted.logits([place for place, out in zip(those, here, strict=True) if out])
    return list(logits * scoring.UNIT)


def told(lines: Sequence[Mapping[str, Any]], authors: int) -> Iterable[str]:
    """Of the first so many lines: found whole of all names, and right of all findings, with the rules and alone."""
    those, sums = places(lines), crossed(lines)
    by: dict[int, list[tuple[float, int, int, None]]] = {}
    for place, total in zip(those, sums, strict=True):
        by.setdefault(place.text, []).append((total, place.start, place.end, None))
    mine = lines[:authors]
    rules = [[(one.start, one.end) for one in names.by_rules(folded(line["text"]))] for line in mine]
    yield f"rules alone: {_counted(mine, rules)}"
    for least in THRESHOLDS:
        both = [_together(own, by.get(number, []), least) for number, own in enumerate(rules)]
        alone = [_together([], by.get(number, []), least) for number in range(authors)]
        yield f"from {least:5}: with the rules {_counted(mine, both)}; alone {_counted(mine, alone)}"


def _together(taken: Sequence[Span], likely: Sequence[tuple[float, int, int, None]], least: float) -> list[Span]:
    kept = scoring.likeliest((each for each in likely if each[0] >= least), taken)
    return [*taken, *((start, end) for _, start, end, _ in kept)]


def _counted(lines: Sequence[Mapping[str, Any]], found: Sequence[Sequence[Span]]) -> str:
    named = ([(start, end, "name") for start, end in spans] for spans in found)
    one = personal.against(lines, named, ("name",))["name"]
    whole, right = f"{one.whole}/{one.there}", f"{one.found - one.wrong}/{one.found}"
    return f"recall {whole} = {one.recall.share:.3f}, precision {right} = {one.precision.share:.3f}"


def write(lines: Sequence[Mapping[str, Any]]) -> None:
    found = fit(places(lines)).weights()
    told = {"bias": found.bias, "least": found.least, "marks": dict(sorted(found.marks.items()))}
    scoring.WEIGHTS.write_text(json.dumps(told, ensure_ascii=False, indent=0) + "\n", "utf-8", newline="\n")


def learned() -> list[dict[str, Any]]:
    """The authors' texts first."""
    return [*(line for path in PARTS for line in read(path)), *piisentences.lines(), *without_names(), *tiny()]


if __name__ == "__main__":
    if "--crossed" in sys.argv[1:]:
        print(*told(learned(), len(read(PARTS[0]))), sep="\n")
    else:
        write(learned())
