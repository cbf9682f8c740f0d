"""Texts with {names} to fill in: what is wrong with one, and its filling.  Names only: no attributes, no formats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from string import Formatter


def problems(template: str, known: Iterable[str]) -> list[str]:
    """What is wrong, a sentence each; empty when fill() can do its work."""
    names = list(known)
    try:
        fields = list(Formatter().parse(template))
    except ValueError as error:
        return [f"{error} in {template!r} (write {{{{ and }}}} for braces)"]
    found = []
    for _, name, form, conversion in fields:
        if name is None:
            continue
        if form or conversion:
            found.append(f"{{{name}}} takes neither format nor conversion")
        elif name not in names:
            found.append(f"unknown placeholder {{{name}}}, {_hint(name, names)}")
    return found


def _hint(name: str, names: list[str]) -> str:
    close = get_close_matches(name, names, n=1)
    return f"did you mean {{{close[0]}}}?" if close else "known: " + ", ".join(f"{{{known}}}" for known in names)


def placeholders(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name is not None}


def fill(template: str, values: Mapping[str, str]) -> str:
    """The values are data: braces in them stay as they are."""
    return "".join(
        literal + (values[name] if name is not None else "") for literal, name, _, _ in Formatter().parse(template)
    )
