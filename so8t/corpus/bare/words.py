"""What a dictionary knows of a word that may be a name: whether it is a family name, and what else it is.

`words.tsv` is written by `tools/bare_words.py` from IPADIC, whose terms are in `NOTICE`: a word, what it is, how common
a family name it is (a step of its cost there; more is rarer), and how it is read.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from so8t.corpus.namelists import lists

WORDS = Path(__file__).parent / "words.tsv"
UNKNOWN = ("", 0)


class Words(NamedTuple):
    """`told`: word -> its letters (f family name, g given name, p place, o organisation, w any other word), and a step.

    In kanji the names are those of `namelists` and of IPADIC; in kana they are how both are read, in hiragana.
    `kanji` and `kana` are families and given names together.
    """

    told: dict[str, tuple[str, int]]
    families: frozenset[str]
    givens: frozenset[str]
    kana_families: frozenset[str]
    kana_givens: frozenset[str]
    kanji: frozenset[str]
    kana: frozenset[str]


@lru_cache(maxsize=1)
def words() -> Words:
    known = lists()
    told: dict[str, tuple[str, int]] = {}
    readings: set[str] = set()
    for line in WORDS.read_text("utf-8").splitlines():
        word, letters, step, read = line.split("\t")
        told[word] = letters, int(step or 0)
        readings.update(read.split())
    families, givens = _kanji(known.families) | _those(told, "f"), _kanji(known.givens) | _those(told, "g")
    kana_families, kana_givens = _kana(known.families) | readings, _kana(known.givens)
    return Words(
        told, families, givens, kana_families, kana_givens, kanji=families | givens, kana=kana_families | kana_givens
    )


def _those(told: dict[str, tuple[str, int]], letter: str) -> frozenset[str]:
    return frozenset(word for word, (letters, _) in told.items() if letter in letters)


def _kanji(names: dict[str, tuple[str, ...]]) -> frozenset[str]:
    return frozenset(name for name in names if name[0] >= "一")


def _kana(names: dict[str, tuple[str, ...]]) -> frozenset[str]:
    return frozenset(name for name in names if "ぁ" <= name[0] <= "ん" and len(name) > 1)
