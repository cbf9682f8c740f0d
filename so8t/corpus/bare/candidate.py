"""A place where a name of a person might stand, and what speaks for and against its word."""

from __future__ import annotations

from dataclasses import dataclass

from so8t.corpus.bare.words import UNKNOWN, words


@dataclass(frozen=True, eq=False, slots=True)
class Candidate:
    """Of a run: where the name begins in it, how long it is, of which kind, its marks, and its parts.

    Kinds: F a family name, P both names, G a given name, all three in kanji; H in hiragana, T in katakana, U in
    katakana and in no list, A in Latin letters.
    """

    offset: int
    size: int
    kind: str
    marks: tuple[str, ...]
    family: str
    given: str


def letters(word: str) -> str:
    """What the dictionary says that a word is."""
    return words().told.get(word, UNKNOWN)[0]
