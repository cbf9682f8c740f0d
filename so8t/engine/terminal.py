"""What a terminal can show: whether lines can be redrawn, whether it has colours, how wide a text is."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Mapping
from typing import TextIO

from so8t.store import running

GREEN, BLUE = "32", "34"


def is_live(stream: TextIO, env: Mapping[str, str] = os.environ) -> bool:
    """Whether lines can be redrawn in place; a Windows terminal gets plain lines."""
    return os.name != "nt" and stream.isatty() and env.get("TERM", "dumb") not in ("", "dumb")


def has_colours(stream: TextIO, env: Mapping[str, str] = os.environ) -> bool:
    """FORCE_COLOR wins over NO_COLOR, as both pages on the subject have it; an empty variable says nothing."""
    if env.get("FORCE_COLOR"):
        return True
    return not env.get("NO_COLOR") and (is_live(stream, env) or bool(env.get(running.SCREEN)))


def paint(text: str, colour: str, wanted: bool) -> str:
    return f"\x1b[{colour}m{text}\x1b[0m" if wanted and text else text


def width(text: str) -> int:
    """In columns: Japanese characters take two, and what combines with the one before takes none."""
    return sum(map(_columns, text))


def clip(text: str, columns: int) -> str:
    """As much of it as fits."""
    if width(text) <= columns:
        return text
    taken, room = "", columns - 1
    for character in text:
        room -= _columns(character)
        if room < 0:
            break
        taken += character
    return taken + "…"


def pad(text: str, columns: int) -> str:
    return text + " " * (columns - width(text))


def _columns(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Cf", "Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
