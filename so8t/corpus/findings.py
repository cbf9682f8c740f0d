"""What a rule for personal data is: a pattern, a cheap hint, a check, and the placeholder of its kind."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

Check = Callable[[re.Match[str]], bool]
Span = tuple[int, int]

_ASCII = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_FOLD = {**_ASCII, 0x3000: 0x20, 0xFF70: ord("ー"), **dict.fromkeys(map(ord, "‐‑‒–—―−－﹣➖"), 0x2D)}
_FOLDABLE = re.compile("[！-～\u3000ｰ‐-―−﹣➖]")


@dataclass(frozen=True)
class Kind:
    """One kind of personal data; groups named `value...` narrow what is replaced."""

    name: str
    placeholder: str
    hint: re.Pattern[str]
    pattern: re.Pattern[str]
    check: Check = lambda match: True

    def spans(self, folded: str) -> Iterator[Span]:
        if self.hint.search(folded):
            yield from (_span(match) for match in self.pattern.finditer(folded) if self.check(match))


def _span(match: re.Match[str]) -> Span:
    for group in match.re.groupindex:
        if group.startswith("value") and match[group] is not None:
            return match.span(group)
    return match.span()


def compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.ASCII | re.VERBOSE)


def folded(text: str) -> str:
    """The text in the same length, full-width ASCII and every dash in one form."""
    return text.translate(_FOLD) if _FOLDABLE.search(text) else text


def left_of(match: re.Match[str], characters: int = 16) -> str:
    return match.string[max(0, match.start() - characters) : match.start()]


def digits_of(text: str) -> str:
    return "".join(filter(str.isdigit, text))
