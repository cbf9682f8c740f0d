"""What the cards about data are told: a report's facts, whose data it is, and where the conversations lie."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from so8t.report import headline, sources
from so8t.report.facts import Facts

UNTOLD = "not told here"


@dataclass(frozen=True)
class Card:
    name: str
    facts: Facts
    where: str = ""  # the folder of the splits, from the card; empty: no record goes with it
    publisher: str = ""
    shows_losses: bool = False  # examples of what left; not where the card leaves the house

    @property
    def judges(self) -> bool:
        return headline.is_classed(self.facts)

    @property
    def is_japanese(self) -> bool:
        return sources.is_japanese(self.facts)

    @property
    def day(self) -> str:
        return sources.day(self.facts)


def harm(judges: bool) -> str:
    """What became of harmful and NSFW texts."""
    if judges:
        return (
            "Harmful and NSFW texts in the data serve detection and refusal only: they are examples of DENY and "
            "REFUSE, never a text to generate. The build checks that."
        )
    return "Harmful and NSFW texts that were found in the data were dropped: they are never a text to generate."


def purpose(judges: bool) -> tuple[str, str]:
    """What the data is for, and what it is not for."""
    return (
        f"For training and testing of models that {'judge requests' if judges else 'answer in conversations'}.",
        "Not for learning how to do harm, and not for finding out about persons.",
    )


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        yield from (f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))
        yield ""


def cell(text: object) -> str:
    """A text in a table or a list: one line, and no mark of its own."""
    return " ".join(str(text).split()).replace("|", "\\|").replace("<", "&lt;")


def as_json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
