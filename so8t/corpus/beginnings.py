"""The characters that a pattern can begin with, so that a search for it leaps from one of them to the next.

`re` does so by itself only where every alternative begins with a plain character; a pattern of many words in groups it
tries at every place.  Where this module cannot say how a pattern begins, it leaves the search to `re`.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

_parser: Any = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
_CLASSES = {"CATEGORY_DIGIT": r"\d", "CATEGORY_SPACE": r"\s", "CATEGORY_WORD": r"\w"}
_ALIKE = {"i": "ıİ", "k": "\u212a", "s": "ſ"}  # what matches besides, where case makes no difference


class _Anything(Exception):
    """The pattern can begin with any character, or its beginning is not understood."""


def leaping(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """A pattern that is found in the same texts, and faster: it matches the first character alone."""
    if not (firsts := beginnings(pattern)):
        return pattern
    end = "\n" if pattern.flags & re.VERBOSE else ""  # of a comment
    return re.compile(rf"[{firsts}](?<=(?={pattern.pattern}{end})[\s\S])", pattern.flags)


def finding(pattern: re.Pattern[str]) -> Callable[[str], Iterable[re.Match[str]]]:
    """`pattern.finditer`, asked only where a leaping search finds something."""
    search, find = leaping(pattern).search, pattern.finditer
    return lambda text: find(text) if search(text) else ()


def matches(pattern: re.Pattern[str], first: re.Pattern[str], text: str) -> Iterator[re.Match[str]]:
    """What `pattern.finditer(text)` gives; `first` is one of the characters that it can begin with."""
    here = first.search(text)
    while here:
        match = pattern.match(text, here.start())
        if match:
            yield match
        here = first.search(text, match.end() if match else here.end())


def first(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """One of the characters that it can begin with."""
    return re.compile(f"[{beginnings(pattern)}]", pattern.flags) if beginnings(pattern) else re.compile(r"[\s\S]")


def beginnings(pattern: re.Pattern[str]) -> str:
    """The inside of a class of characters; empty if the pattern can begin with any, or match nothing at all."""
    try:
        firsts, empty = _of_all(_parser.parse(pattern.pattern, pattern.flags), bool(pattern.flags & re.IGNORECASE))
    except _Anything:
        return ""
    return "" if empty else "".join(sorted(firsts))


def _of_all(items: Any, alike: bool) -> tuple[set[str], bool]:
    """Of what stands one behind the other, and whether all of it may match nothing."""
    firsts: set[str] = set()
    for operation, value in items:
        some, empty = _of(str(operation), value, alike)
        firsts |= some
        if not empty:
            return firsts, False
    return firsts, True


def _of(operation: str, value: Any, alike: bool) -> tuple[set[str], bool]:
    if operation in ("AT", "ASSERT", "ASSERT_NOT"):
        return set(), True
    if operation == "LITERAL":
        return _written(value, alike), False
    if operation == "IN":
        return set().union(*(_in_class(str(kind), one, alike) for kind, one in value)), False
    if operation == "BRANCH":
        branches = [_of_all(branch, alike) for branch in value[1]]
        return set().union(*(some for some, _ in branches)), any(empty for _, empty in branches)
    if operation == "SUBPATTERN":
        _, added, removed, items = value
        return _of_all(items, (alike or bool(added & re.IGNORECASE)) and not removed & re.IGNORECASE)
    if operation in ("MAX_REPEAT", "MIN_REPEAT"):
        least, _, items = value
        some, empty = _of_all(items, alike)
        return some, empty or least == 0
    raise _Anything


def _in_class(kind: str, value: Any, alike: bool) -> set[str]:
    if kind == "LITERAL":
        return _written(value, alike)
    if kind == "RANGE" and not alike:
        return {"-".join(re.escape(chr(end)) for end in value)}
    if kind == "CATEGORY" and str(value) in _CLASSES:
        return {_CLASSES[str(value)]}
    raise _Anything


def _written(code: int, alike: bool) -> set[str]:
    character = chr(code)
    if not alike:
        return {re.escape(character)}
    if not character.isascii():
        raise _Anything
    lower = character.lower()
    return {re.escape(one) for one in (lower, lower.upper(), *_ALIKE.get(lower, ""))}
