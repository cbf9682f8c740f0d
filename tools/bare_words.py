"""Writes what IPADIC knows of words that may be names: `python -m tools.bare_words FOLDER`.

FOLDER holds the dictionary's CSV files, as Debian's package mecab-ipadic unpacks them (usr/share/mecab/dic/ipadic).
"""

from __future__ import annotations

import csv
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from so8t.corpus.bare.words import WORDS
from so8t.corpus.namelists import KANJI, hiragana, lists, plain

_STEP = 400  # of a family name's cost
_LONGEST = 8  # characters
_PAIR = re.compile(f"[{KANJI}]{{3,6}}")
_KATAKANA = re.compile("[ァ-ヴー]{2,}")


class Entry(NamedTuple):
    word: str
    letter: str
    cost: int
    read: str


def entries(folder: Path) -> Iterator[Entry]:
    for path in sorted(folder.glob("*.csv")):
        with path.open(encoding="euc-jp", newline="") as lines:
            for row in csv.reader(lines):
                yield Entry(plain(row[0]), _letter(row[5], row[6], row[7]), int(row[3]), hiragana(row[11]))


def _letter(kind: str, what: str, which: str) -> str:
    if kind != "固有名詞":
        return "w"
    if what == "人名":
        return {"姓": "f", "名": "g"}.get(which, "")
    return "p" if what == "地域" else "o"


def table(folder: Path) -> Iterator[str]:
    """A family or a given name, or a word that a candidate can be; the lines that `words.words` reads."""
    known = lists()
    letters: dict[str, set[str]] = {}
    costs: dict[str, int] = {}
    reads: dict[str, set[str]] = {}
    for one in entries(folder):
        letters.setdefault(one.word, set()).add(one.letter)
        if one.letter == "f" and one.word >= "一":
            costs[one.word] = min(one.cost, costs.get(one.word, one.cost))
            reads.setdefault(one.word, set()).add(one.read)
    families = {*known.families, *(word for word, its in letters.items() if "f" in its)}
    givens = {*known.givens, *(word for word, its in letters.items() if "g" in its)}
    for word in sorted(letters):
        its, pair = "".join(sorted(letters[word])), _PAIR.fullmatch(word)
        named = word in families or word in givens or {"f", "g"} & letters[word]
        both = pair and any(word[:at] in families and word[at:] in givens for at in range(1, len(word)))
        more = its.replace("g", "") or word not in known.givens
        if len(word) <= _LONGEST and its and more and (named or both or _KATAKANA.fullmatch(word)):
            step = costs[word] // _STEP if word in costs else ""
            yield f"{word}\t{its}\t{step}\t{' '.join(sorted(read for read in reads.get(word, ()) if len(read) > 1))}"


def write(folder: Path) -> None:
    WORDS.write_text("\n".join(table(folder)) + "\n", "utf-8", newline="\n")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
