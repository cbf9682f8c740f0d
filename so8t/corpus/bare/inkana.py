"""Candidates in kana and in Latin letters: given names, family names, both, and what sounds like a nickname."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from so8t.corpus import nonames
from so8t.corpus.bare.candidate import Candidate, letters
from so8t.corpus.bare.words import words
from so8t.corpus.namelists import hiragana, latin, lists

SAME_BEHIND = {
    "hiragana": re.compile("[ ・]([ぁ-ん]{2,5})(?![ぁ-んー])"),
    "katakana": re.compile("[ ・]([ァ-ヴー]{2,6})(?![ァ-ヴー])"),
    "half": re.compile("[ ･]([ｦ-ﾟ]{2,8})"),
}
_PARTICLES = "のはとにがもでをへやねよえあうかな"
_NICKNAME = re.compile("(?:っち|りん|っしー?|っきー|ぴょん|ぽん|っぴ|みん|やん|ー|ち|っぺ)$")
_DEAR = re.compile("[ぁ-ん]{1,2}(?:っちゃん|っくん|ーちゃん|ーくん|ちゃん)|([ぁ-ん]{2})\\1")  # むっちゃん, れんれん
_CALLED = re.compile("ちゃ|くん|さん|さま|たん|やん|っち|先")
_NICKNAMES, _CALLS = frozenset("ちんしーぴぺ"), frozenset("ちくさたやっ")  # their last characters, and first ones


def of_hiragana(run: str) -> Iterator[Candidate]:
    known, last = words().kana, len(run)
    for offset in range(last - 1):
        free = offset == 0 or run[offset - 1] in _PARTICLES
        for end in range(min(offset + 6, last), offset + 1, -1):
            word = run[offset:end]
            what = _listed(word, free) if word in known else ""
            if not what and free:
                what = _nickname(run, word, end)
            if what and word not in nonames.KANA_WORDS:
                yield _in_hiragana(what, word, offset, f"{offset > 0}{end < last}{free}")


def _in_hiragana(what: str, word: str, offset: int, inside: str) -> Candidate:
    known, mine = lists(), words()
    marks = (
        what,
        f"{what}{len(word)}",
        f"H|{inside}",
        f"His{letters(word)}{len(word)}",
        f"Hends{word[-1]}",
        f"Hends{word[-2:]}",
        f"Hlist{word in known.givens}{word in known.families}",
        f"H={word}",
    )
    family = word in mine.kana_families and word not in mine.kana_givens
    return Candidate(offset, len(word), "H", marks, word if family else "", "" if family else word)


def _listed(word: str, free: bool) -> str:
    """HG a given name, HF a family name; nothing where so short a one cannot begin."""
    if word in words().kana_givens and (free or len(word) > 2):
        return "HG"
    return "HF" if word in words().kana_families and len(word) > (2 if free else 3) else ""


def _nickname(run: str, word: str, end: int) -> str:
    """HD a name made dear, HN what sounds like a nickname or is called by one."""
    size = len(word)
    if (word[-1] in "んく" or size == 4) and _DEAR.fullmatch(word):
        return "HD"
    if size < 5 and run[end : end + 1] in _CALLS and _CALLED.match(run, end) and not letters(word):
        return "HN"
    return "HN" if 2 < size < 6 and word[-1] in _NICKNAMES and _NICKNAME.search(word) else ""


def of_katakana(run: str) -> Iterator[Candidate]:
    if run in nonames.KATAKANA_WORDS:
        return
    known, read = words(), hiragana(run)
    parts = re.split("[・=]", read)
    if read in known.kana_givens:
        what = "TG"
    elif read in known.kana_families:
        what = "TF"
    elif len(parts) > 1:
        what = "TT" if any(one in known.kana_givens or one in known.kana_families for one in parts) else "UU"
    else:
        pair = any(
            read[:at] in known.kana_families and read[at:] in known.kana_givens for at in range(2, len(read) - 1)
        )
        what = "TP" if pair else "U"
    kind = what[0]
    if what in ("U", "UU", "TP") and any(map(letters, (run, *re.split("[・=]", run)))):
        return
    marks = (
        what,
        f"{what}{min(len(run), 9)}",
        f"{kind}ends{run[-1]}",
        f"{kind}ends{run[-2:]}",
        f"{kind}begins{run[:2]}",
        f"{kind}is{letters(run)}",
        f"{kind}={run}",
    )
    family = what == "TF"
    yield Candidate(0, len(run), kind, marks, read if family else "", "" if family else read)


def of_half(run: str) -> Iterator[Candidate]:
    read = _read(run)
    marks = ("Z", f"Z{read in words().kana_givens}{read in words().kana_families}")
    yield Candidate(0, len(run), "T", marks, "", read)


def of_latin(run: str) -> Iterator[Candidate]:
    known, parts = lists(), [latin(one) for one in run.split(" ")]
    listed = [one in known.given_romans or one in known.family_romans for one in parts]
    if not any(listed) and (len(parts) > 1 or not run.istitle()):
        return
    what = "AA" if len(parts) > 1 else "A" if listed[0] and len(parts[0]) > 2 else "AU"
    marks = (what, f"{what}{run.islower()}{run.isupper()}", f"{what}{min(len(run), 10)}", f"A={run.lower()}")
    yield Candidate(0, len(run), "A", marks, "", latin(run.replace(" ", "")))


def of_mixed(run: str) -> Iterator[Candidate]:
    """ヤス子, ふさ子."""
    read = hiragana(run[:-1])
    marks = (
        "M",
        f"M{run[-1]}",
        f"M{len(run)}{run[0] >= 'ァ'}",
        f"M{letters(read)}{read in words().kana_givens}",
        f"M={run}",
    )
    yield Candidate(0, len(run), "H", marks, "", run)


@lru_cache(maxsize=1 << 12)
def with_same(script: str, run: str, behind: str) -> tuple[Candidate, ...]:
    """A name and, behind a space, another in the same kana, one of which a list has."""
    second = SAME_BEHIND[script].match(behind)
    if not second or len(run) > 8:
        return ()
    known, family, given = words(), _read(run), _read(second[1])
    what = f"{family in known.kana_families}{given in known.kana_givens}"
    if "True" not in what:
        return ()
    kind = "H" if script == "hiragana" else "T"
    marks = ("D", f"D{script}", f"D{what}", f"D{letters(family)}{letters(given)}", f"D{min(len(family), 6)}")
    return (Candidate(0, len(run) + second.end(), kind, marks, family, given),)


def _read(kana: str) -> str:
    return hiragana(unicodedata.normalize("NFKC", kana))
