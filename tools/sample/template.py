"""A pattern's template, taken apart once and then filled as often as wanted."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from tools.sample.slots import SLOTS

_BRACES = re.compile(r"\{([^{}]*)\}")


class Filled(NamedTuple):
    text: str
    values: tuple[str, ...]


class Template(NamedTuple):
    fixed: tuple[str, ...]
    slots: tuple[tuple[str, ...], ...]
    """Between the fixed parts; the first character of every filling is its register: p, c or -."""

    def fill(self, choose: Callable[[int, int], int]) -> Filled | None:
        """The text for a choice from every slot, or None where polite and casual fillings meet."""
        chosen = [slot[choose(at, len(slot))] for at, slot in enumerate(self.slots)]
        registers = {filling[0] for filling in chosen}
        if {"p", "c"} <= registers:
            return None
        values = tuple(filling[1:] for filling in chosen)
        pieces = [piece for pair in zip(self.fixed, (*values, ""), strict=True) for piece in pair]
        return Filled("".join(pieces).strip(), values)


def parse(template: str) -> Template:
    parts = _BRACES.split(template)
    return Template(tuple(parts[::2]), tuple(_fillings(braces) for braces in parts[1::2]))


def _fillings(braces: str) -> tuple[str, ...]:
    if "|" in braces:
        return tuple(f"-{filling}" for filling in braces.split("|"))
    return SLOTS[braces]
