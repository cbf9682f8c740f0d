"""What a rule for personal data is: a pattern, cheap looks that spare most texts it, a check, and a placeholder."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from so8t.corpus.beginnings import leaping

Check = Callable[[re.Match[str]], bool]
Span = tuple[int, int]

_ASCII = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FOLD = {**_ASCII, 0x3000: 0x20, 0xFF70: ord("ー"), **dict.fromkeys(map(ord, "‐‑‒–—―−－﹣➖"), 0x2D)}
_DIGIT = re.compile("[0-9]")
_FOLDABLE = re.compile("[！-～\u3000ｰ‐-―−﹣➖]+")


@dataclass(frozen=True)
class Kind:
    """One kind of personal data; groups named `value...` narrow what is replaced.

    The looks before the pattern are at the whole text, the cheapest first: for a digit, for a `hint`, and for what
    the pattern `needs`.  A hint is part of the rule; the other two pass whatever the pattern could find.
    """

    name: str
    placeholder: str
    hint: re.Pattern[str]
    pattern: re.Pattern[str]
    check: Check = lambda match: True
    needs: re.Pattern[str] | None = None
    digits: bool = True

    def may_be_in(self, folded: str) -> bool:
        return self.hint.search(folded) is not None and (self.needs is None or self.needs.search(folded) is not None)

    def spans(self, folded: str) -> list[Span]:
        return [_span(match) for match in self.pattern.finditer(folded) if self.check(match)]


def _span(match: re.Match[str]) -> Span:
    for group in match.re.groupindex:
        if group.startswith("value") and match[group] is not None:
            return match.span(group)
    return match.span()


def look(pattern: str) -> re.Pattern[str]:
    """For a hint or a need: found in the same texts as the pattern, and faster; what it matches says nothing."""
    return leaping(re.compile(pattern))


def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII | re.VERBOSE)


def folded(text: str) -> str:
    """The text in the same length, full-width ASCII and every dash in one form."""
    return _FOLDABLE.sub(lambda run: run[0].translate(_FOLD), text)


def has_digit(folded: str) -> bool:
    return _DIGIT.search(folded) is not None


def left_of(match: re.Match[str], characters: int = 16) -> str:
    return match.string[max(0, match.start() - characters) : match.start()]


def digits_of(text: str) -> str:
    return "".join(filter(str.isdigit, text))
