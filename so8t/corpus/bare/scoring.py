"""Which of the places where a name might stand hold one: a sum of whole numbers over the word and what is around it.

A logistic regression, written by `tools/bare.py`; whole numbers, so that every machine takes the same sum.
The rules of `names` speak first; this voice adds what has nothing beside it that a rule could name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from so8t.corpus.bare import candidates
from so8t.corpus.bare.candidate import Candidate
from so8t.corpus.mentions import Mention
from so8t.corpus.namelists import plain

T = TypeVar("T")
WEIGHTS = Path(__file__).parent / "weights.json"
UNIT = 1_000  # of a weight
_MARGIN = 4  # characters of context on each side
_BEFORE, _BEHIND = "^" * _MARGIN, "$" * _MARGIN
_SCRIPTS = {
    "^": re.compile(r"\^"),
    "$": re.compile(r"\$"),
    "k": re.compile("[一-鿿々〆ヶヵ]"),
    "h": re.compile("[ぁ-ん]"),
    "t": re.compile("[ァ-ヴー]"),
    "d": re.compile(r"\d"),
    "n": re.compile("\n"),
    "a": re.compile("[A-Za-z]"),
}
_JOINS = frozenset(" 、,・/&とやに\n|;")


@dataclass(frozen=True)
class Weights:
    """`least`: the sum from which on a candidate is a name."""

    bias: int
    least: int
    marks: Mapping[str, int]


@lru_cache(maxsize=1)
def weights() -> Weights:
    return Weights(**json.loads(WEIGHTS.read_text("utf-8")))


def find(text: str, taken: Sequence[Mention]) -> list[Mention]:
    """The likeliest first, as long as they overlap neither each other nor what is taken; of a folded text."""
    least = weights().least
    likely = [
        (total, start, start + one.size, one)
        for total, start, one in scored(text)
        if total >= least and text.rfind("〔", 0, start) <= text.rfind("〕", 0, start)
    ]
    kept = likeliest(likely, [(other.start, other.end) for other in taken])
    return [Mention(start, end, one.family, one.given) for _, start, end, one in kept]


def likeliest(
    likely: Iterable[tuple[float, int, int, T]], taken: Iterable[tuple[int, int]]
) -> list[tuple[float, int, int, T]]:
    """Of places with their sums, a start, an end and whatever goes with them: none that overlaps a likelier one."""
    places, kept = list(taken), []
    for each in sorted(likely, key=lambda each: (-each[0], each[1], -each[2])):
        _, start, end, _ = each
        if not any(start < stop and begin < end for begin, stop in places):
            places.append((start, end))
            kept.append(each)
    return kept


def scored(text: str) -> Iterator[tuple[int, int, Candidate]]:
    """Every candidate with its sum and where it begins."""
    told = weights()
    known = told.marks.get
    for start, one, around in with_context(text):
        yield told.bias + _of_word(one) + sum(filter(None, map(known, around))), start, one


@lru_cache(maxsize=1 << 15)
def _of_word(one: Candidate) -> int:
    return sum(filter(None, map(weights().marks.get, {*one.marks})))  # each once, as it was learned


def with_context(text: str) -> Iterator[tuple[int, Candidate, list[str]]]:
    """Every candidate, where it begins, and the marks of what stands around it."""
    here = [(run + one.offset, one) for run, one in candidates.candidates(plain(text))]
    if not here:
        return
    padded = _BEFORE + text + _BEHIND
    begins: dict[int, set[str]] = {}
    ends: dict[int, set[str]] = {}
    for start, one in here:
        begins.setdefault(start, set()).add(one.kind)
        ends.setdefault(start + one.size, set()).add(one.kind)
    for start, one in here:
        end, kind = start + one.size, one.kind
        around = _around(padded, start + _MARGIN, end + _MARGIN, kind)
        if start and text[start - 1] in _JOINS:
            around += [f"{kind}<{other}" for other in ends.get(start - 1, "0")]
        if text[end : end + 1] in _JOINS:
            around += [f"{kind}>{other}" for other in begins.get(end + 1, "0")]
        yield start, one, around


def _around(text: str, start: int, end: int, kind: str) -> list[str]:
    """Of a text with a margin: one to four characters before and behind, alone, by kind, and both sides together."""
    before, behind = text[start - _MARGIN : start], text[end : end + _MARGIN]
    b1, b2, b3, a1, a2, a3 = before[3:], before[2:], before[1:], behind[0], behind[:2], behind[:3]
    c1, c2 = _script(b1), _script(a1)
    return [
        "L" + b1, "L" + b2, "L" + b3, "L" + before, "R" + a1, "R" + a2, "R" + a3, "R" + behind,
        kind + "L" + b1, kind + "L" + b2, kind + "L" + b3, kind + "R" + a1, kind + "R" + a2, kind + "R" + a3,
        f"{kind}B{b1}_{a1}", f"B{b1}_{a2}", f"B{b2}_{a1}",
        f"{kind}c{c1}{c2}", f"{kind}c{_script(before[2])}{c1}_{c2}{_script(behind[1])}",
    ]  # fmt: skip


@lru_cache(maxsize=1 << 13)
def _script(character: str) -> str:
    return next((letter for letter, pattern in _SCRIPTS.items() if pattern.match(character)), "p")
