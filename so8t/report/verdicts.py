"""The evaluation in tables: each model and split with its intervals, and who was taken for whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from so8t.formats.records import NO_FORMAT
from so8t.report import headline, words
from so8t.report.facts import Facts, Figure
from so8t.report.headline import BASE, FILE, Rate

RATES = ("accuracy", "macro_f1", "unsafe_compliance", "over_refusal", "format_valid")


@dataclass(frozen=True)
class Line:
    """One model on one split; `mute`: it gives no valid answer, so its errors say nothing."""

    split: str
    model: str
    mode: str
    records: Figure
    rates: tuple[Rate, ...]
    mute: bool
    calibration: Figure
    leaks: Figure | None
    pytorch: Figure | None
    same_class: Figure | None


@dataclass(frozen=True)
class Cell:
    said: str
    count: Figure
    share: float  # of its row
    right: bool


@dataclass(frozen=True)
class Matrix:
    """Rows are what a record is, columns what was said."""

    split: str
    model: str
    mode: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


def lines(facts: Facts) -> tuple[Line, ...]:
    return tuple(_line(split, model, record, figures) for split, model, record, figures in _each(facts))


def matrices(facts: Facts) -> tuple[Matrix, ...]:
    return tuple(_matrix(split, model, record, figures) for split, model, record, figures in _each(facts))


def _each(facts: Facts) -> Iterator[tuple[str, str, str, Mapping[str, Any]]]:
    """Split, model, where in the document, figures: those of direct answers behind those that think first."""
    for split, by_model in (facts.find(FILE, "splits") or {}).items():
        for model, figures in by_model.items():
            if "accuracy" not in figures:
                continue  # answers without a class are no verdicts
            yield split, model, f"splits.{split}.{model}", figures
            if direct := figures.get("direct"):
                yield split, model, f"splits.{split}.{model}.direct", direct


def _line(split: str, model: str, record: str, figures: Mapping[str, Any]) -> Line:
    beside = figures.get("pytorch")
    error = figures["expected_calibration_error"]
    leaks = figures.get("leaks")
    return Line(
        split, model, figures.get("mode", "thinking"),
        Figure(words.number(figures["records"]), FILE, f"{record}.records"),
        tuple(_rate(split, record, figures, name) for name in RATES),
        headline.is_mute(figures) and model == BASE,
        Figure(words.NOTHING if error is None else f"{error:.3f}", FILE, f"{record}.expected_calibration_error"),
        None if leaks is None else Figure(words.number(leaks), FILE, f"{record}.leaks"),
        Figure(f"{100 * beside['difference']:+.1f}", FILE, f"{record}.pytorch.difference") if beside else None,
        Figure(words.share(beside["same_class"]), FILE, f"{record}.pytorch.same_class") if beside else None,
    )  # fmt: skip


def _rate(split: str, record: str, figures: Mapping[str, Any], name: str) -> Rate:
    found = headline.rate(split, figures, "", name)
    shown = Figure(found.figure.text, FILE, f"{record}.{name}")
    return Rate(split, shown, found.value, found.interval, found.low, found.high)


def _matrix(split: str, model: str, record: str, figures: Mapping[str, Any]) -> Matrix:
    table = figures["confusion"]
    columns = tuple(dict.fromkeys([*table, NO_FORMAT]))
    rows = tuple((truth, tuple(_cells(truth, row, columns, f"{record}.confusion"))) for truth, row in table.items())
    return Matrix(split, model, figures.get("mode", "thinking"), columns, rows)


def _cells(truth: str, row: Mapping[str, int], columns: tuple[str, ...], record: str) -> Iterator[Cell]:
    whole = sum(row.values()) or 1
    for said in columns:
        count = row.get(said, 0)
        yield Cell(said, Figure(words.number(count), FILE, f"{record}.{truth}.{said}"), count / whole, truth == said)
