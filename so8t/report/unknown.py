"""What nobody knows of the data of a build, as sentences: a card that is silent about it would be believed.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from so8t.report import sources
from so8t.report.cards import Card, cell

NAMES = "Patterns do not find the names of persons."
EXAMPLES = (
    "The first ten of each reason, without personal data of the kinds that are looked for and cut short. "
    "Names of persons may still stand in them: look at them before you hand this page on."
)

SOME_NAMES = "Names of persons are looked for by lists and by the words beside them; some remain."


def names(card: Card) -> str:
    """How far names of persons are gone, as far as the values of `cleaned` are told."""
    return SOME_NAMES if "name" in (sources.kinds(card.facts) or ()) else NAMES


def lines(card: Card) -> Iterator[str]:
    for one in sources.origins(card.facts):
        if missing := [what for what, said in (("terms of use", one.terms), ("trust", one.trust)) if not said]:
            yield f"{cell(one.name)}: its {' and its '.join(missing)}."
    yield "Whether the persons who wrote the texts agree to this use, and who they are."
    yield "Whether what the texts say is true, and how they see groups of people: neither was measured."
    yield (
        f"What the patterns do not find: {'rare names' if names(card) == SOME_NAMES else 'names of persons'}, "
        "and personal data or harmful texts in words that no pattern has."
    )
    if card.judges:
        yield from _classes(card)
    if not card.facts.splits:
        yield "Classes and languages of each split: its files are not there to be counted."


def _classes(card: Card) -> Iterator[str]:
    by = card.facts.find("labelled/agreement.json", "labelled_by") or {}
    if given := sum(by.get("given", {}).values()):
        yield f"Whether classes that came with the records are right ({given:,}): nobody labelled them a second time."
    if inferred := sum(sum(counts.values()) for who, counts in by.items() if who != "given"):
        yield f"Whether classes from rules and the classifier are right ({inferred:,}); the report says how often."
