"""Candidates in kanji: a family name, a given one, both together, or one of them behind a space or in kana."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache

from so8t.corpus import nonames
from so8t.corpus.bare.candidate import Candidate, letters
from so8t.corpus.bare.words import UNKNOWN, words
from so8t.corpus.mentions import RANKS
from so8t.corpus.namelists import KANJI, hiragana, lists
from so8t.corpus.namepairs import ROLE_ENDS

_KANJI_BEHIND = re.compile(f"[ ・]([{KANJI}]{{1,3}}?)(?![{KANJI}](?!{RANKS})(?<![様氏君殿嬢]))")
_KANA_BEHIND = re.compile("([ ・]?)(?:([ぁ-ん]{2,5})|([ァ-ヴー]{2,6}))")
_TITLE = re.compile(rf"(?:様|氏|君|殿|嬢|宅|(?:{RANKS})(?:代理|補佐)?)+")
_SPACES = (" ", "・")
_KIN = frozenset("妻夫父母弟妹兄姉男女孫息娘子甥姪")


def of_run(run: str) -> Iterator[Candidate]:
    known, last = words().kanji, len(run)
    for offset in range(last):
        for end in range(min(offset + 4, last), offset, -1):
            if (word := run[offset:end]) in known:
                yield from _of_word(run, word, offset, end)


def _of_word(run: str, word: str, offset: int, end: int) -> Iterator[Candidate]:
    known, size, last = words(), end - offset, len(run)
    inside = f"{min(offset, 3)}{min(last - end, 3)}"
    alone = size > 1 or _stands_alone(run, offset)
    if word in known.families:
        if alone:
            marks = ("F", f"F{size}", f"F|{inside}", f"F|{size}{inside}", *_beside(run, offset, end))
            yield Candidate(offset, size, "F", (*marks, *_family(word, "F")), word, "")
        if size > 1 or word in nonames.SINGLE_FAMILIES:
            yield from _with_given(run, offset, word)
    if word in known.givens:
        kin = offset > 0 and run[offset - 1] in _KIN
        if size > 1 and (kin or offset == 0 or end == last or size > 2):
            yield Candidate(offset, size, "G", _given(word, inside), "", word)
        elif size == 1 and word not in known.families and alone:
            marks = ("G1", f"G1{inside}", f"G={word}", f"G1{word in nonames.SINGLE_GIVENS}", f"G1{letters(word)}")
            yield Candidate(offset, 1, "G", marks, "", word)


def _beside(run: str, start: int, end: int) -> tuple[str, ...]:
    """What of a run of kanji stands before a name and behind it, and whether that ends or begins a word."""
    before, behind = run[:start], run[end:]
    return (
        f"<{before}",
        f">{behind}",
        f"<{not before or before[-1] in ROLE_ENDS}>{not behind or _TITLE.match(behind) is not None}",
    )


def _stands_alone(run: str, offset: int) -> bool:
    """Of a name of one character: it is the run, or begins it before a title, or ends it behind a role or kin."""
    if run[offset] in nonames.TITLED_ONLY:
        return False
    begins = offset == 0 or run[offset - 1] in _KIN or run[offset - 1] in ROLE_ENDS
    ends = offset + 1 == len(run) or _TITLE.fullmatch(run, offset + 1) is not None
    return begins and ends


def _with_given(run: str, offset: int, family: str) -> Iterator[Candidate]:
    rest, known = run[offset + len(family) :], words()
    for size in range(min(3, len(rest)), 0, -1):
        given = rest[:size]
        if given in known.givens and (size > 1 or given in nonames.SINGLE_GIVENS):
            marks = (
                "P",
                f"P{len(family)}{size}",
                f"P|{min(offset, 3)}{min(len(rest) - size, 3)}",
                f"Pg{given in nonames.NOUNS}{letters(given)}",
                f"Pw{letters(family + given)}",
                *_family(family, "P"),
            )
            yield Candidate(offset, len(family) + size, "P", marks, family, given)


@lru_cache(maxsize=1 << 13)
def _family(word: str, kind: str) -> tuple[str, ...]:
    known = lists()
    its, step = words().told.get(word, UNKNOWN)
    return (
        f"{kind}usual{word in known.usual_families}{word in nonames.PLACES}{word in nonames.WORDS}",
        f"{kind}list{word in known.families}{'f' in its}",
        f"{kind}is{its}",
        f"{kind}step{step}",
        f"{kind}={word}",
        f"{kind}ends{word[-1]}",
    )


def _given(word: str, inside: str) -> tuple[str, ...]:
    return (
        "G",
        f"G{len(word)}",
        f"G|{inside}",
        f"Gnoun{word in nonames.NOUNS}",
        f"Gends{word[-1]}",
        f"Gbegins{word[0]}",
        f"Gis{letters(word)}{word in words().families}",
        f"G={word}",
    )


def with_behind(run: str, behind: str) -> tuple[Candidate, ...]:
    """A family name that ends a run of kanji, and a given name behind it: after a space, or in kana."""
    if families := _endings(run):
        return _behind(families, len(run), behind)
    spaced = _KANJI_BEHIND.match(behind) if behind[:1] in _SPACES and 2 <= len(run) <= 4 else None
    return _behind((run,), len(run), behind) if spaced and spaced[1] in words().givens else ()


@lru_cache(maxsize=1 << 13)
def _endings(run: str) -> tuple[str, ...]:
    """The family names with which it ends."""
    found = (run[-size:] for size in range(min(4, len(run)), 0, -1) if run[-size:] in words().families)
    return tuple(one for one in found if len(one) > 1 or _stands_alone(run, len(run) - 1))


@lru_cache(maxsize=1 << 12)
def _behind(families: tuple[str, ...], end: int, behind: str) -> tuple[Candidate, ...]:
    return tuple(_pairs(families, end, behind))


def _pairs(families: tuple[str, ...], end: int, behind: str) -> Iterator[Candidate]:
    known = words()
    if spaced := _KANJI_BEHIND.match(behind):
        given = spaced[1]
        for family in families:
            marks = (
                "S",
                f"S{given in known.givens}{len(family)}{len(given)}",
                f"S{letters(given)}{given in known.families}",
                f"S|{len(family) < end}",
                f"S{behind[0]}",
                *_family(family, "P"),
            )
            yield Candidate(end - len(family), len(family) + spaced.end(), "P", marks, family, given)
    elif kana := _KANA_BEHIND.match(behind):
        written, at = kana[2] or kana[3], kana.end(1)
        for size in range(len(written), 1, -1):
            given = hiragana(written[:size])
            if given not in known.kana_givens or (kana[3] and size < len(written)):
                continue
            for family in families:
                marks = (
                    "K",
                    f"K{at}{size}{bool(kana[2])}",
                    f"K{letters(given)}{size == len(written)}",
                    f"K|{len(family) < end}",
                    *_family(family, "P"),
                )
                yield Candidate(end - len(family), len(family) + at + size, "P", marks, family, given)
