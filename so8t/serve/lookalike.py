"""What only looks like a marker: other cases and widths, foreign letters, invisible characters, spaces, brackets.

The thinking format itself takes such text for text.  A server must not: where it stands in a final part, the model
has lost the format, and what follows may be thinking.
The test works on a growing text, so its answer may be that more must be seen.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from so8t.formats.layouts import ALL, ThinkingFormat

ANGLES = frozenset("<＜﹤‹«≪⟨⟪〈《˂ᐸ❮❬⋖≺⊂⧼≤⪡")
HASHES = frozenset("#＃﹟♯⌗")
LONGEST = 64  # characters over which a name may be spread; behind an angle more of them are refused, not read

# letters that are drawn like Latin ones and that Unicode's compatibility forms do not unite
_DRAWN = {
    "a": "аαᴀɑ⍺", "c": "сᴄϲ", "e": "еεᴇєҽ", "f": "ƒϝғꜰ", "h": "һнᴴʜհ", "i": "іιıӏɪɩ1!|ⅼ", "k": "кκᴋ", "l": "ʟⅼ",
    "n": "пηɴոπ", "o": "оοᴏօ0", "p": "рρᴘ", "s": "ѕꜱ5$", "t": "тτᴛ7+", "y": "уγʏү",
}  # fmt: skip
_LATIN = {drawn: latin for latin, all_drawn in _DRAWN.items() for drawn in all_drawn}


class Look(Enum):
    NO = "no"
    MAYBE = "more must be seen"
    YES = "yes"


@dataclass(frozen=True)
class Names:
    """What a format's markers are called: `joined` ones such as think-task, single `words`, or whole `lines`."""

    joined: tuple[tuple[str, ...], ...]
    words: tuple[str, ...]
    lines: tuple[str, ...]

    @property
    def first_letters(self) -> frozenset[str]:
        return frozenset(pieces[0][0] for pieces in self.joined)


@lru_cache
def names(fmt: ThinkingFormat) -> Names:
    """Those of every format, for a model may fall into another one; of another's lines only what nobody else writes."""
    every = {**{each.name: each for each in ALL}, fmt.name: fmt}.values()
    bare = [marker.strip("<>/") for each in every if not each.whole_lines for marker in each.markers]
    joined = tuple(dict.fromkeys(tuple(name.split("-")) for name in bare if "-" in name))
    words = dict.fromkeys([name for name in bare if "-" not in name] + [pieces[0] for pieces in joined])
    lines = [
        line
        for each in every
        if each.whole_lines
        for line in (each.markers if each is fmt else (each.markers[0], each.markers[-1]))
    ]
    return Names(joined, tuple(words), tuple("".join(map(fold, line.strip("# "))) for line in lines))


@lru_cache(maxsize=4096)
def fold(character: str) -> str:
    """The Latin letters that a reader takes a character for; nothing for one that is not seen."""
    plain = unicodedata.normalize("NFKD", character).casefold()
    return "".join(_LATIN.get(each, each) for each in plain if unicodedata.category(each) not in ("Mn", "Me", "Cf"))


@lru_cache(maxsize=4096)
def opens(character: str) -> bool:
    return character in ANGLES or character in HASHES or unicodedata.category(character) in ("Ps", "Pi")


@lru_cache(maxsize=4096)
def _parts(character: str) -> bool:
    """Whether a character may stand between the letters of a name and leave it readable."""
    kind = unicodedata.category(character)
    return kind == "Lm" or kind[0] in "ZPMCS"


def look(text: str, at: int, known: Names, ended: bool) -> Look:
    """Whether something like a marker begins here."""
    after, openers = at, ""
    while after < len(text) and (opens(text[after]) or (openers and _parts(text[after]))):
        if openers and text[after] in "<\n":
            break  # which may be structure, and is looked at for itself
        after += 1
        openers = text[at:after]
    angled, hashed = not ANGLES.isdisjoint(openers), not HASHES.isdisjoint(openers)
    if len(openers) > LONGEST:
        return Look.YES if angled else Look.NO
    found = [_joined(text, after, pieces, bool(openers)) for pieces in known.joined]
    found += [_spell(text, after, word)[0] for word in known.words if angled]
    found += [_line(text, after, line, ended) for line in known.lines if hashed]
    if Look.YES in found:
        return Look.YES
    return Look.MAYBE if Look.MAYBE in found and not ended else Look.NO


def _joined(text: str, at: int, pieces: tuple[str, ...], opened: bool) -> Look:
    """Behind a bracket the pieces may be apart in any way; alone, only a dash or something unseen makes a name."""
    position, gap = at, ""
    for number, piece in enumerate(pieces):
        start = position
        while number and position < len(text) and _parts(text[position]) and position - at <= LONGEST:
            position += 1
        gap = text[start:position] if number else ""
        spelled, position = _spell(text, position, piece)
        if spelled is not Look.YES:
            return spelled
    return Look.YES if opened or (gap and not any(each.isspace() or each in ".,:;!?、。" for each in gap)) else Look.NO


def _line(text: str, at: int, line: str, ended: bool) -> Look:
    spelled, after = _spell(text, at, line)
    if spelled is not Look.YES:
        return spelled
    while after < len(text) and text[after] != "\n" and _parts(text[after]):
        after += 1
    if after == len(text):
        return Look.YES if ended else Look.MAYBE
    return Look.YES if text[after] == "\n" else Look.NO


def _spell(text: str, at: int, name: str) -> tuple[Look, int]:
    """Whether the name's letters stand here, with what may part them in between, and where they end."""
    done, position = 0, at
    while done < len(name):
        if position == len(text):
            return Look.MAYBE, position
        letters = fold(text[position])
        if letters and name.startswith(letters, done):
            done += len(letters)
        elif position - at > LONGEST or (letters and (done == 0 or not _parts(text[position]))):
            return Look.NO, position
        position += 1
    return Look.YES, position
