"""The evaluation of a model without classes, in a table: loss, perplexity, format, and what the spec asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from so8t.report import words
from so8t.report.facts import Facts, Figure
from so8t.report.headline import FILE

SHARES = ("format_valid", "exact")


@dataclass(frozen=True)
class Line:
    """One model on one split; `shares` are percents, by what they are called, each with its interval."""

    split: str
    model: str
    records: Figure
    loss: Figure
    interval: str
    perplexity: Figure
    shares: tuple[tuple[str, Figure, str], ...]
    leaks: Figure


def lines(facts: Facts) -> tuple[Line, ...]:
    return tuple(_lines(facts))


def _lines(facts: Facts) -> Iterator[Line]:
    for split, by_model in (facts.find(FILE, "splits") or {}).items():
        for model, found in by_model.items():
            if "accuracy" in found:
                return
            at = f"splits.{split}.{model}"
            ends = found["intervals"]["loss"]
            names = [*SHARES, *(name for name in found if name.startswith("matches "))]
            yield Line(
                split,
                model,
                Figure(words.number(found["records"]), FILE, f"{at}.records"),
                Figure(f"{found['loss']:.3f}", FILE, f"{at}.loss"),
                f"{ends[0]:.3f} to {ends[1]:.3f}" if ends else "",
                Figure(
                    f"{found['perplexity']:,.2f}" if found["perplexity"] else words.NOTHING, FILE, f"{at}.perplexity"
                ),
                tuple(
                    (
                        name.replace("_", " "),
                        Figure(words.share(found[name]), FILE, f"{at}.{name}"),
                        words.interval(found["intervals"][name]),
                    )
                    for name in names
                ),
                Figure(words.number(found["leaks"]), FILE, f"{at}.leaks"),
            )
