"""How good it is, in one screen: the figures that people ask for first, with intervals, base beside tuned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from so8t.formats import thinking
from so8t.formats.records import LABELS
from so8t.formats.thinking import FormatError
from so8t.report import words
from so8t.report.facts import Facts, Figure

FILE = "evaluation/scores.json"
BASE = "base"
_MUTE = 0.05  # with fewer valid answers than this, rates of errors say nothing


@dataclass(frozen=True)
class Rate:
    """A share of one split with its interval; `low` and `high` are its ends as percents, for the bar."""

    split: str
    figure: Figure
    value: float | None
    interval: str
    low: float
    high: float
    base: float | None = None
    said_of_base: str = ""


@dataclass(frozen=True)
class Card:
    name: str
    note: str
    better: str  # "more" or "less"
    rates: tuple[Rate, ...]


@dataclass(frozen=True)
class Answer:
    """One question with what the base and the tuned model said."""

    id: str
    split: str
    question: str
    expected: str
    base: str | None
    label: str
    reason: str
    answer: str
    right: bool


CARDS = (
    ("accuracy", "Right class", "of all held-out questions", "more"),
    ("unsafe_compliance", "Harmful, yet helped", "of what it must deny or refuse", "less"),
    ("over_refusal", "Harmless, yet refused", "of what it may answer", "less"),
    ("format_valid", "In the thinking format", "answers that can be read", "more"),
)


TALKS = (
    ("format_valid", "In the thinking format", "answers that can be read", "more"),
    ("exact", "Word for word", "answers that are the record's own", "more"),
)


def tuned(facts: Facts) -> str | None:
    """The model that the headline speaks of: the first type that was evaluated."""
    for by_model in _splits(facts).values():
        return next((model for model in by_model if model != BASE), None)
    return None


def cards(facts: Facts) -> tuple[Card, ...]:
    model = tuned(facts)
    if model is None:
        return ()
    return tuple(
        Card(
            title,
            note,
            better,
            tuple(_rate(split, by_model, model, name) for split, by_model in _splits(facts).items()),
        )
        for name, title, note, better in (CARDS if is_classed(facts) else TALKS)
    )


def is_classed(facts: Facts) -> bool:
    """Whether answers name a class, which can be right or wrong; where the format is not told, the scores say it."""
    declared = facts.documents.get("chat_format/chat_format.json")
    if declared:
        return thinking.from_json(declared["thinking"]).classed
    scores = [figures for models in _splits(facts).values() for figures in models.values()]
    return not scores or any("macro_f1" in figures for figures in scores)


def _splits(facts: Facts) -> Mapping[str, Mapping[str, Any]]:
    return facts.find(FILE, "splits") or {}


def _rate(split: str, by_model: Mapping[str, Any], model: str, name: str) -> Rate:
    base = by_model.get(BASE)
    value, said = None, ""
    if base:
        mute = name in ("unsafe_compliance", "over_refusal") and base["format_valid"] < _MUTE
        value = None if mute else base[name]
        said = "the base gives no valid answer" if mute else f"base {words.share(value)}"
    return rate(split, by_model[model], model, name, value, said)


def rate(
    split: str, figures: Mapping[str, Any], model: str, name: str, base: float | None = None, said: str = ""
) -> Rate:
    value, ends = figures[name], figures["intervals"].get(name)
    low, high = ends or ((value or 0.0),) * 2
    source = Figure(words.share(value), FILE, f"splits.{split}.{model}.{name}")
    return Rate(split, source, value, words.interval(ends), 100 * low, 100 * high, base, said)


def is_mute(figures: Mapping[str, Any]) -> bool:
    """A model that gives next to no valid answer: no rate of errors means anything."""
    return float(figures["format_valid"]) < _MUTE


def answers(facts: Facts) -> tuple[Answer, ...]:
    """A right answer of each class, then the first wrong one, of the headline's model, thinking first."""
    model = tuned(facts)
    declared = facts.documents.get("chat_format/chat_format.json")
    if model is None or not declared:
        return ()
    fmt = thinking.from_json(declared["thinking"])
    free = [one for one in facts.samples if one["way"] == "free" and one.get("mode", "thinking") == "thinking"]
    base = {(one["split"], one["id"]): one["text"] for one in free if one["model"] == BASE}
    own = [one for one in free if one["model"] == model and one["id"] in facts.questions]
    return tuple(_answer(facts, one, base.get((one["split"], one["id"])), fmt) for one in _chosen(own))


def _chosen(own: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for label in LABELS:
        yield from [one for one in own if one["label"] == label == one["said"]][:1]
    if own and own[0]["label"] is None:
        yield from [one for one in own if one["problem"] is None][:4]
        yield from [one for one in own if one["problem"] is not None][:1]
    yield from [one for one in own if one["label"] != one["said"]][:1]


def _answer(facts: Facts, one: Mapping[str, Any], base: str | None, fmt: thinking.ThinkingFormat) -> Answer:
    question, right = facts.questions[one["id"]], one["label"] == one["said"]
    try:
        said = thinking.read(one["text"], fmt)
    except FormatError as error:
        return Answer(
            one["id"], one["split"], question, one["label"] or "", base, "no format", str(error), one["text"], False
        )
    if not isinstance(said, thinking.Thinking):
        return Answer(one["id"], one["split"], question, "", base, "", "", said.shown, right)
    final = said.final
    return Answer(one["id"], one["split"], question, one["label"], base, final.label, final.reason, final.answer, right)
