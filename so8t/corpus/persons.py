"""Who is who within one record: the same person gets the same number, however the name is written."""

from __future__ import annotations

import re
from dataclasses import dataclass

from so8t.corpus.mentions import Mention
from so8t.corpus.namelists import lists

_NUMBERED = re.compile("〔人名([0-9]+)〕")


@dataclass
class _Person:
    family: str
    given: str


class Persons:
    """Numbers in the order of appearance, behind those in `beside`, which are other people's.

    A family name alone is the first person who has it.
    """

    def __init__(self, beside: str = "") -> None:
        self._others = max(map(int, _NUMBERED.findall(beside)), default=0)
        self._known: list[_Person] = []

    def placeholder(self, mention: Mention) -> str:
        return f"〔人名{self._others + self._number(mention.family, mention.given)}〕"

    def _number(self, family: str, given: str) -> int:
        for number, person in enumerate(self._known, start=1):
            if _same(person, family, given):
                person.family, person.given = person.family or family, person.given or given
                return number
        self._known.append(_Person(family, given))
        return len(self._known)


def _same(person: _Person, family: str, given: str) -> bool:
    known = lists()
    both = [
        _alike(one, other, table)
        for one, other, table in ((person.family, family, known.families), (person.given, given, known.givens))
        if one and other
    ]
    return bool(both) and all(both)


def _alike(one: str, other: str, table: dict[str, tuple[str, ...]]) -> bool:
    """Written alike, or in two scripts and read alike."""
    if one == other:
        return True
    in_kanji = (one >= "一", other >= "一")
    return in_kanji != (True, True) and not set(_readings(one, table)).isdisjoint(_readings(other, table))


def _readings(name: str, table: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    return table.get(name, (name,))
