"""How well personal data is found, by kind, as measured on marked sentences: part of a data card.  Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

from so8t.report import sources
from so8t.report.cards import Card, table

_TABLE = files("so8t.report") / "look" / "personal.json"


@lru_cache
def measured() -> dict[str, Any]:
    """Parts `held_out`, `second`, `third`, `tuned`: their texts; of each kind spans, findings, recall, precision."""
    found: dict[str, Any] = json.loads(_TABLE.read_text("utf-8"))
    return found


def lines(card: Card) -> Iterator[str]:
    """Of the kinds that are looked for, where they are told."""
    kinds, told = sources.kinds(card.facts) or [], measured()
    held_out, tuned = told["held_out"], told["tuned"]
    rows = [
        (kind, str(held_out["kinds"][kind]["spans"]), *_shares(held_out["kinds"][kind]), *_shares(tuned["kinds"][kind]))
        for kind in held_out["kinds"]
        if kind in kinds
    ]
    if rows:
        yield from (
            f"How well so8t finds them, measured on other texts than these: {held_out['texts']:,} Japanese ones were "
            f"written by hand before any rule was tuned, {tuned['texts']:,} are those that the rules were tuned on.",
            "In parentheses intervals of 95 %; an identifier of `internal` is found as well as its pattern is written.",
            "",
        )
        head = ("found whole", "findings that are right")
        yield from table(("kind", "held out", *head, *(f"{name}, tuned on" for name in head)), rows)
        yield from _later(kinds, told)


def _later(kinds: Sequence[str], told: Mapping[str, Any]) -> Iterator[str]:
    """Of the parts that were written later, for two kinds alone."""
    rows = [
        (f"{kind}, {name} part", str(one["spans"]), *_shares(one))
        for name in ("second", "third")
        for kind in ("name", "birth_date")
        if kind in kinds and (one := told[name]["kinds"][kind])
    ]
    if rows:
        yield from (
            "",
            "Two more parts are held out for names and dates of birth: a second of "
            f"{told['second']['texts']:,} texts with typing errors, missing particles and mixed scripts, and a third "
            f"of {told['third']['texts']:,} by an author who has never seen a rule.",
            "",
        )
        yield from table(("kind", "held out", "found whole", "findings that are right"), rows)


def _shares(one: Mapping[str, Any]) -> Iterator[str]:
    yield _share(one["recall"])
    yield _share(one["precision"])


def _share(figures: Sequence[float] | None) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(*figures) if figures else "none found"
