"""How well harm is found, as measured on sentences held out: part of a data card.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from so8t.corpus.suspect import scoring
from so8t.report.cards import Card, table


def lines(card: Card) -> Iterator[str]:
    told = scoring.figures()
    count, harmful = told["sentences"], told["harmful"]
    yield from (
        "How well harm is found, with the patterns that come with so8t: "
        f"{count} Japanese sentences were written by hand before anything was tuned, {harmful} requests for harm and "
        f"{count - harmful} texts that look like them.",
        "In parentheses intervals of 95 %; where harm is rarer than there, less of what is named is harmful.",
        "Requests are looked for: of insults in statements hardly any is found.",
        "",
    )
    rows = [
        (_called(name), _share(one["recall"]), _share(one["precision"]), str(one["wrong"]))
        for name, one in told["voices"].items()
        if not name.startswith("suspect ")
    ]
    yield from table(("who looks", "of the harmful ones named", "of those named, harmful", "look-alikes named"), rows)
    surest = told["reliability"][-1]
    yield from (
        f"{_asked(card)} Its Brier score there is {told['brier']:.3f}; where it says {surest['from']} and more, "
        f"{surest['said']:.2f} on average, {surest['harmful']:.2f} are harmful.",
        "",
    )


def _called(name: str) -> str:
    return "patterns" if name == "patterns" else f"patterns, or the classifier from {name.removeprefix('either ')}"


def _share(figures: Sequence[float] | None) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(*figures) if figures else "none named"


def _asked(card: Card) -> str:
    least = card.facts.values("cleaned").get("harm.suspect")
    return "The classifier was not asked here." if least is None else f"The classifier was asked here, from {least}."
