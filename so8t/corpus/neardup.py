"""When two texts are alike: the form in which they are compared, their character n-grams, and Jaccard's measure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

Parts = tuple[str, ...]
"""What must be alike, each for itself: the text, and the conversation and system prompt around it."""
Grams = tuple[frozenset[str], ...]

_UNSEEN = re.compile("[\\s。、！？!?（）()…‥・「」『』\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef]")


@dataclass(frozen=True)
class Settings:
    """`threshold` None looks for exact duplicates only; `permutations` is a multiple of `bands`."""

    exact: bool = True
    threshold: float | None = 0.8
    ngram: int = 5
    permutations: int = 96
    bands: int = 16
    seed: int = 42


@dataclass(frozen=True)
class Duplicate:
    """A row that repeats the kept row `of`; `jaccard` is None for an exact copy."""

    of: int
    jaccard: float | None = None


def comparable(text: str) -> str:
    """The form in which texts are compared: width, case, spaces and sentence marks make no difference."""
    text = _UNSEEN.sub("", text)  # before the check: full-width marks would send most Japanese texts through NFKC
    if not unicodedata.is_normalized("NFKC", text):
        text = _UNSEEN.sub("", unicodedata.normalize("NFKC", text))
    return text.casefold()


def similarity(left: Grams, right: Grams) -> float:
    """The smallest Jaccard similarity of the parts: a long common system prompt makes no two texts alike."""
    return min(map(_jaccard, left, right))


def _jaccard(left: frozenset[str], right: frozenset[str]) -> float:
    both = len(left & right)
    union = len(left) + len(right) - both
    return both / union if union else 1.0


def gram_sets(parts: Parts, n: int) -> Grams:
    return tuple(frozenset(grams(part, n)) for part in parts)


def tagged(sets: Grams) -> list[str]:
    """One bag for the sketch; if each part reaches a similarity, so does the bag, and LSH misses nothing by it."""
    bag = list(sets[0])
    for tag, part in enumerate(sets[1:], 1):
        bag += [f"{tag}\x1f{gram}" for gram in part]
    return bag


def grams(text: str, n: int) -> list[str]:
    """Every run of n characters; a shorter text is its own single run."""
    if len(text) <= n:
        return [text] if text else []
    return [text[start : start + n] for start in range(len(text) - n + 1)]
