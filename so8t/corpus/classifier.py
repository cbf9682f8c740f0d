"""A small classifier for what the rules leave open: character n-grams, logistic regression, one temperature.

Character n-grams, because Japanese has no spaces to split at.
The temperature makes the confidence honest: it is fitted on records that the scoring model never saw.
Equal examples give equal models whatever their order; confidences keep 4 digits, so float noise hardly shows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import Field

from so8t.corpus.rules import normalise
from so8t.errors import MissingExtra, StageError
from so8t.formats.records import LABELS, Label
from so8t.spec.fields import SpecModel

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Classifier(SpecModel):
    threshold: float = Field(0.6, ge=0, le=1)
    """Below this confidence the class is ESCALATION: a person decides."""

    max_records: int = Field(20_000, ge=1)
    """At most so many given labels train the classifier: those with the smallest content hash."""

    min_per_class: int = Field(20, ge=2)
    """With fewer given labels in any class nothing is trained, and all that the rules leave open is ESCALATION."""

    folds: int = Field(4, ge=2)
    """Folds of the cross-validation that calibrates the confidence and measures the agreement."""

    group_by: str | None = None
    """A tag, such as `pattern`: records that share its value stay in one fold, so the figures hold for new ones."""

    ngrams: tuple[int, int] = (1, 3)
    """Shortest and longest character n-gram."""

    max_chars: int = Field(1_000, ge=1)
    """Only so many characters from a text's start are looked at."""

    min_records_per_ngram: int = Field(2, ge=1)
    """An n-gram found in fewer training records is not used."""

    max_features: int = Field(40_000, ge=1)
    """At most so many n-grams are features: those found in the most records."""

    inverse_regularisation: float = Field(10.0, gt=0)
    """scikit-learn's C: larger fits the training records more closely."""


@dataclass(frozen=True)
class Example:
    rank: bytes  # hash of the content: the order of the examples, and who is taken when there are too many
    text: str
    label: Label
    group: str | None = None
    harm: tuple[str, ...] = ()


@dataclass(frozen=True)
class Guess:
    label: Label
    confidence: float


@dataclass(frozen=True)
class FittedClassifier:
    spec: Classifier
    ngrams: Any  # fitted CountVectorizer
    fit: Fit
    temperature: float

    @property
    def features(self) -> int:
        return len(self.fit.columns)

    def guess(self, texts: Sequence[str]) -> list[Guess]:
        if not texts:
            return []
        return _guesses(
            self.fit.logits(self.ngrams.transform(_prepared(texts, self.spec))),
            self.temperature,
        )


@dataclass(frozen=True)
class Training:
    model: FittedClassifier
    out_of_fold: tuple[Guess, ...]  # one per example, by a model and a temperature that never saw it


@dataclass(frozen=True)
class Fit:
    """One logistic regression over the n-grams that its own training records know."""

    columns: NDArray[Any]
    tfidf: Any  # fitted TfidfTransformer
    regression: Any  # fitted LogisticRegression

    def logits(self, counts: Any) -> NDArray[Any]:  # (records, classes)
        logits: NDArray[Any] = self.regression.decision_function(self.tfidf.transform(counts[:, self.columns]))
        return logits


def shortage(examples: Sequence[Example], spec: Classifier) -> str | None:
    """Why these examples cannot train and calibrate a classifier, or None."""
    counts = Counter(example.label for example in examples)
    groups = Counter(label for label, _ in _groups(examples))
    what = f"groups by tag {spec.group_by!r}" if spec.group_by else "records"
    missing = [
        f"{label} has {counts[label]} given labels in {groups[label]} {what}"
        for label in LABELS
        if counts[label] < spec.min_per_class or groups[label] < spec.folds
    ]
    need = f"each class needs {spec.min_per_class} in {spec.folds}"
    return f"too few to train and calibrate: {', '.join(missing)}; {need}" if missing else None


def train(examples: Sequence[Example], spec: Classifier) -> Training:
    """Fit once per fold for the temperature and the in_fold-out guesses, and once on everything for the model."""
    try:
        import numpy
        from sklearn.feature_extraction.text import CountVectorizer
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise MissingExtra("scikit-learn", "train", "labelled: labelling beyond the rules") from error

    order = sorted(range(len(examples)), key=lambda index: examples[index].rank)
    ordered = [examples[index] for index in order]
    truth = numpy.array([LABELS.index(example.label) for example in ordered])
    folds = numpy.array(assign_folds(ordered, spec.folds))
    ngrams = CountVectorizer(analyzer="char", lowercase=True, ngram_range=spec.ngrams, dtype=numpy.float64)
    with threadpool_limits(limits=1):  # one thread, so that sums are taken in one order
        counts = ngrams.fit_transform(_prepared([example.text for example in ordered], spec))
        logits = numpy.empty((len(ordered), len(LABELS)))
        for fold in range(spec.folds):
            in_fold = folds == fold
            logits[in_fold] = _fit(counts[~in_fold], truth[~in_fold], spec).logits(counts[in_fold])
        guesses: list[Guess] = [Guess("ESCALATION", 0.0)] * len(ordered)
        for fold in range(spec.folds):
            in_fold = folds == fold
            unseen = _guesses(logits[in_fold], _temperature(logits[~in_fold], truth[~in_fold]))
            for index, guess in zip(numpy.flatnonzero(in_fold), unseen, strict=True):
                guesses[order[index]] = guess
        model = FittedClassifier(spec, ngrams, _fit(counts, truth, spec), _temperature(logits, truth))
    return Training(model, tuple(guesses))


def assign_folds(examples: Sequence[Example], folds: int) -> list[int]:
    """A fold for each example: groups stay together, each class is dealt out evenly, larger groups first."""
    assigned = [0] * len(examples)
    for label in LABELS:
        groups = [members for owner, members in _groups(examples) if owner == label]
        groups.sort(key=lambda members: (-len(members), examples[members[0]].rank))
        for number, members in enumerate(groups):
            for member in members:
                assigned[member] = number % folds
    return assigned


def _groups(examples: Sequence[Example]) -> list[tuple[Label, list[int]]]:
    """Indices of the examples of each group, with the class that most of them have."""
    members: dict[str | int, list[int]] = {}
    for index, example in enumerate(examples):
        members.setdefault(index if example.group is None else example.group, []).append(index)
    return [(_majority([examples[index].label for index in indices]), indices) for indices in members.values()]


def _majority(labels: Sequence[Label]) -> Label:
    counts = Counter(labels)
    return max(LABELS, key=lambda label: counts[label])


def _prepared(texts: Sequence[str], spec: Classifier) -> list[str]:
    return [normalise(text[: spec.max_chars]) for text in texts]


def _fit(counts: Any, truth: NDArray[Any], spec: Classifier) -> Fit:
    from sklearn.feature_extraction.text import TfidfTransformer
    from sklearn.linear_model import LogisticRegression

    columns = _frequent(counts, spec)
    tfidf = TfidfTransformer(sublinear_tf=True)
    features = tfidf.fit_transform(counts[:, columns])
    regression = LogisticRegression(
        C=spec.inverse_regularisation,
        fit_intercept=False,  # a text without a known n-gram says nothing: every class is as likely
        max_iter=1_000,
        tol=1e-5,
        random_state=0,
    )
    return Fit(columns, tfidf, regression.fit(features, truth))


def _frequent(counts: Any, spec: Classifier) -> NDArray[Any]:
    """The columns of the n-grams that are features, in the order of the n-grams."""
    import numpy

    records = counts.getnnz(axis=0)
    ranked = numpy.argsort(-records, kind="stable")[: spec.max_features]
    columns = numpy.sort(ranked[records[ranked] >= spec.min_records_per_ngram])
    if not len(columns):
        raise StageError(
            f"labelled: no n-gram occurs in {spec.min_records_per_ngram} training records; "
            "lower classifier.min_records_per_ngram"
        )
    return columns


def _temperature(logits: NDArray[Any], truth: NDArray[Any]) -> float:
    """The divisor of the logits under which the true classes are likeliest.

    As in Platt's calibration some of the truth is taken to be wrong, as if one record of each class were:
    otherwise records without a single mistake would make every confidence 1.
    """
    import numpy
    from scipy.optimize import minimize_scalar
    from scipy.special import log_softmax

    classes = logits.shape[1]
    wrong = classes / (len(truth) + classes)
    target = numpy.full(logits.shape, wrong / (classes - 1))
    target[numpy.arange(len(truth)), truth] = 1 - wrong

    def surprise(log_temperature: float) -> float:
        return -float((target * log_softmax(logits / numpy.exp(log_temperature), axis=1)).sum(axis=1).mean())

    found = minimize_scalar(surprise, bounds=(-4.0, 4.0), method="bounded", options={"xatol": 1e-6})
    return float(numpy.exp(found.x))


def _guesses(logits: NDArray[Any], temperature: float) -> list[Guess]:
    """The likeliest class after rounding, and the most severe one of equals."""
    from scipy.special import softmax

    guesses = []
    for row in softmax(logits / temperature, axis=1).round(4).tolist():
        confidence, rank = max((value, rank) for rank, value in enumerate(row))
        guesses.append(Guess(LABELS[rank], confidence))
    return guesses
