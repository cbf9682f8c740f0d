"""Places in spec files, and the messages that point there: file:line:column, the line, a caret.

Lines and columns count from 1 and columns count characters, as editors do; the caret counts terminal columns.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property

from so8t.errors import SpecError

_INDENT = "    "
_SHOWN, _BEFORE = 100, 60  # characters of a long line that are shown, at most so many of them before the caret
_BREAK = re.compile(r"\r\n|\r|\n")
_BIDI = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")  # they would move the text off the caret


@dataclass(frozen=True)
class SpecText:
    """One file's text under the name that messages call it: relative to the project, forward slashes."""

    name: str
    text: str

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(end.end() for end in _BREAK.finditer(self.text))]

    def mark(self, offset: int) -> Mark:
        """The mark of the character at this offset of the text."""
        line = bisect_right(self._starts, offset)
        return Mark(self, line, offset - self._starts[line - 1] + 1)

    def offset(self, mark: Mark) -> int:
        """Where the text has the character of this mark."""
        return self._starts[mark.line - 1] + mark.column - 1

    def line(self, number: int) -> str:
        end = self._starts[number] if number < len(self._starts) else len(self.text)
        return self.text[self._starts[number - 1] : end].rstrip("\r\n")


@dataclass(frozen=True)
class Mark:
    """A place in a file; line 0 is the file as a whole, such as one that does not exist."""

    file: SpecText
    line: int
    column: int


@dataclass(frozen=True)
class Mistake:
    """One thing that is wrong at one place."""

    mark: Mark
    text: str

    @property
    def order(self) -> tuple[str, int, int, str]:
        return self.mark.file.name, self.mark.line, self.mark.column, self.text


def error(mistakes: Iterable[Mistake]) -> SpecError:
    """One error that shows every mistake, sorted by file, line and column."""
    return SpecError(
        "\n".join(dict.fromkeys(show(mistake) for mistake in sorted(mistakes, key=lambda each: each.order)))
    )


def show(mistake: Mistake) -> str:
    mark = mistake.mark
    if mark.line == 0:
        return f"{mark.file.name}: {mistake.text}"
    head = f"{mark.file.name}:{mark.line}:{mark.column}: {mistake.text}"
    shown, caret = _excerpt(mark.file.line(mark.line), mark.column - 1)
    return f"{head}\n{_INDENT}{shown}\n{_INDENT}{' ' * caret}^" if shown else head


def did_you_mean(written: str, known: Iterable[str]) -> str:
    """ ", did you mean x?" with the nearest of the known names, or nothing."""
    names = {name.casefold(): name for name in known}
    close = get_close_matches(written.casefold(), sorted(names), n=1)
    return f", did you mean {names[close[0]]}?" if close else ""


def alternatives(names: Sequence[str]) -> str:
    """'a', 'b' or 'c'."""
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))


def clip(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def width(text: str) -> int:
    """How many columns a terminal gives to the text."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def _excerpt(line: str, at: int) -> tuple[str, int]:
    """The line without its indentation, clipped around the caret; and the caret's column in it."""
    indent = len(line) - len(line.lstrip(" \t"))
    start = max(min(at, indent), at - _BEFORE)
    before = ("…" if start > indent else "") + _safe(line[start:at])
    after = _safe(line[at : start + _SHOWN]) + ("…" if len(line) > start + _SHOWN else "")
    return (before + after).rstrip(), width(before)


def _safe(text: str) -> str:
    """What a terminal may be given: a source line must not move the cursor or turn the text around."""
    return "".join("\N{REPLACEMENT CHARACTER}" if _is_unsafe(each) else each for each in text.replace("\t", " "))


def _is_unsafe(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _BIDI
