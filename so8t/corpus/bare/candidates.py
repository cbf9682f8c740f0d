"""Where in a text a name of a person might stand, by words alone, and what speaks for and against each word.

A candidate is a run of one script, or a part of one, that a list has as a family name, a given name or both together.
Its marks say what the word is, never what stands around it; they are the same wherever the word stands.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from so8t.corpus import nonames
from so8t.corpus.bare.words import UNKNOWN, words
from so8t.corpus.mentions import RANKS
from so8t.corpus.namelists import KANJI, hiragana, latin, lists
from so8t.corpus.namepairs import ROLE_ENDS

_RUN = re.compile(
    f"(?P<mixed>(?:(?<![ァ-ヴー])[ァ-ヴ]{{1,3}}|(?<![ぁ-ん])[ぁ-ん]{{2}})[子江代枝美吉恵世](?![{KANJI}](?<!様)))"
    f"|(?P<kanji>[{KANJI}]+(?:[ノツ][{KANJI}]+)?)|(?P<hiragana>[ぁ-んー]{{2,}})"
    "|(?P<katakana>[ァ-ヴー]{2,}(?:[・=][ァ-ヴー]{2,})*)|(?P<half>[ｦ-ﾟ]{2,})"
    r"|(?P<latin>(?<![A-Za-z0-9._/#-])[A-Za-z][a-zà-ÿA-Z]{1,11}(?:[ ][A-Z][a-zà-ÿA-Z-]{1,11}){0,2}"
    r"(?![A-Za-z0-9@_/-]|\.[A-Za-z]))"
)
_KANJI_BEHIND = re.compile(f"[ ・]([{KANJI}]{{1,3}}?)(?![{KANJI}](?!{RANKS})(?<![様氏君殿嬢]))")
_KANA_BEHIND = re.compile("([ ・]?)(?:([ぁ-ん]{2,5})|([ァ-ヴー]{2,6}))")
_SAME_BEHIND = {
    "hiragana": re.compile("[ ・]([ぁ-ん]{2,5})(?![ぁ-んー])"),
    "katakana": re.compile("[ ・]([ァ-ヴー]{2,6})(?![ァ-ヴー])"),
    "half": re.compile("[ ･]([ｦ-ﾟ]{2,8})"),
}
_SPACES = frozenset(" ・･")
_TITLE = re.compile(rf"(?:様|氏|君|殿|嬢|宅|(?:{RANKS})(?:代理|補佐)?)+")
_KIN = frozenset("妻夫父母弟妹兄姉男女孫息娘子甥姪")
_PARTICLES = "のはとにがもでをへやねよえあうかな"
_NICKNAME = re.compile("(?:っち|りん|っしー?|っきー|ぴょん|ぽん|っぴ|みん|やん|ー|ち|っぺ)$")
_DEAR = re.compile("[ぁ-ん]{1,2}(?:っちゃん|っくん|ーちゃん|ーくん|ちゃん)|([ぁ-ん]{2})\\1")  # むっちゃん, れんれん
_CALLED = re.compile("ちゃ|くん|さん|さま|たん|やん|っち|先")


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


def candidates(text: str) -> Iterator[tuple[int, Candidate]]:
    """With where its run begins; of a folded text whose characters have their common forms (`namelists.plain`)."""
    for run in _RUN.finditer(text):
        start, written, script = run.start(), run[0], str(run.lastgroup)
        for one in of_run(script, written):
            yield start, one
        if script == "kanji":
            for one in with_behind(written, text[run.end() : run.end() + 9]):
                yield start, one
        elif text[run.end() : run.end() + 1] in _SPACES and script in _SAME_BEHIND:
            for one in with_same(script, written, text[run.end() : run.end() + 9]):
                yield start, one


@lru_cache(maxsize=1 << 16)
def of_run(script: str, run: str) -> tuple[Candidate, ...]:
    return tuple(_OF[script](run))


def _of_kanji(run: str) -> Iterator[Candidate]:
    known, end = words(), len(run)
    for offset in range(end):
        for size in range(min(4, end - offset), 0, -1):
            word, inside = run[offset : offset + size], f"{min(offset, 3)}{min(end - offset - size, 3)}"
            beside = _beside(run, offset, offset + size)
            alone = size > 1 or _stands_alone(run, offset)
            if word in known.families and alone:
                marks = ("F", f"F{size}", f"F|{inside}", f"F|{size}{inside}", *beside, *_family(word, "F"))
                yield Candidate(offset, size, "F", marks, word, "")
            if word in known.families and (size > 1 or word in nonames.SINGLE_FAMILIES):
                yield from _with_given(run, offset, word)
            kin = offset > 0 and run[offset - 1] in _KIN
            if word in known.givens and size > 1 and (kin or offset == 0 or offset + size == end or size > 2):
                yield Candidate(offset, size, "G", _given(word, inside), "", word)
            if size == 1 and word in known.givens and word not in known.families and alone:
                marks = ("G1", f"G1{inside}", f"G={word}", f"G1{word in nonames.SINGLE_GIVENS}", f"G1{_letters(word)}")
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
                f"Pg{given in nonames.NOUNS}{_letters(given)}",
                f"Pw{_letters(family + given)}",
                *_family(family, "P"),
            )
            yield Candidate(offset, len(family) + size, "P", marks, family, given)


def _family(word: str, kind: str) -> tuple[str, ...]:
    known = lists()
    letters, step = words().told.get(word, UNKNOWN)
    return (
        f"{kind}usual{word in known.usual_families}{word in nonames.PLACES}{word in nonames.WORDS}",
        f"{kind}list{word in known.families}{'f' in letters}",
        f"{kind}is{letters}",
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
        f"Gis{_letters(word)}{word in words().families}",
        f"G={word}",
    )


def _letters(word: str) -> str:
    return words().told.get(word, UNKNOWN)[0]


@lru_cache(maxsize=1 << 16)
def with_behind(run: str, behind: str) -> tuple[Candidate, ...]:
    """A family name that ends a run of kanji, and a given name behind it: after a space, or in kana."""
    known, end = words(), len(run)
    sizes = [size for size in (4, 3, 2, 1) if size <= end]
    families = [run[-size:] for size in sizes if run[-size:] in known.families]
    families = [one for one in families if len(one) > 1 or _stands_alone(run, end - 1)]
    if not families and 2 <= end <= 4 and behind[:1] in (" ", "・"):
        return tuple(_behind([run], end, behind)) if (m := _KANJI_BEHIND.match(behind)) and m[1] in known.givens else ()
    return tuple(_behind(families, end, behind)) if families else ()


@lru_cache(maxsize=1 << 14)
def with_same(script: str, run: str, behind: str) -> tuple[Candidate, ...]:
    """A name and, behind a space, another in the same kana, one of which a list has."""
    second = _SAME_BEHIND[script].match(behind)
    if not second or len(run) > 8:
        return ()
    known, family, given = words(), _read(run), _read(second[1])
    what = f"{family in known.kana_families}{given in known.kana_givens}"
    if "True" not in what:
        return ()
    kind = "H" if script == "hiragana" else "T"
    marks = ("D", f"D{script}", f"D{what}", f"D{_letters(family)}{_letters(given)}", f"D{min(len(family), 6)}")
    return (Candidate(0, len(run) + second.end(), kind, marks, family, given),)


def _read(kana: str) -> str:
    return hiragana(unicodedata.normalize("NFKC", kana))


def _behind(families: list[str], end: int, behind: str) -> Iterator[Candidate]:
    known = words()
    if spaced := _KANJI_BEHIND.match(behind):
        given = spaced[1]
        for family in families:
            marks = (
                "S",
                f"S{given in known.givens}{len(family)}{len(given)}",
                f"S{_letters(given)}{given in known.families}",
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
                    f"K{_letters(given)}{size == len(written)}",
                    f"K|{len(family) < end}",
                    *_family(family, "P"),
                )
                yield Candidate(end - len(family), len(family) + at + size, "P", marks, family, given)


def _of_hiragana(run: str) -> Iterator[Candidate]:
    known, mine = lists(), words()
    for offset in range(len(run) - 1):
        free = offset == 0 or run[offset - 1] in _PARTICLES
        for size in range(min(6, len(run) - offset), 1, -1):
            word, end = run[offset : offset + size], offset + size
            what = _hiragana_what(run, word, end, free)
            if not what:
                continue
            marks = (
                what,
                f"{what}{size}",
                f"H|{offset > 0}{end < len(run)}{free}",
                f"His{_letters(word)}{size}",
                f"Hends{word[-1]}",
                f"Hends{word[-2:]}",
                f"Hlist{word in known.givens}{word in known.families}",
                f"H={word}",
            )
            family = word in mine.kana_families and word not in mine.kana_givens
            yield Candidate(offset, size, "H", marks, word if family else "", "" if family else word)


def _hiragana_what(run: str, word: str, end: int, free: bool) -> str:
    """HG a given name, HF a family name, HN what sounds like a nickname; nothing where it cannot begin."""
    known, size = words(), len(word)
    if word in nonames.KANA_WORDS:
        return ""
    if word in known.kana_givens and (free or size > 2):
        return "HG"
    if word in known.kana_families and size > (2 if free else 3):
        return "HF"
    if free and _DEAR.fullmatch(word):
        return "HD"
    called = _CALLED.match(run, end) and not _letters(word) and size < 5
    return "HN" if free and (called or (2 < size < 6 and _NICKNAME.search(word))) else ""


def _of_katakana(run: str) -> Iterator[Candidate]:
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
    if what in ("U", "UU", "TP") and any(map(_letters, (run, *re.split("[・=]", run)))):
        return
    marks = (
        what,
        f"{what}{min(len(run), 9)}",
        f"{kind}ends{run[-1]}",
        f"{kind}ends{run[-2:]}",
        f"{kind}begins{run[:2]}",
        f"{kind}is{_letters(run)}",
        f"{kind}={run}",
    )
    family = what == "TF"
    yield Candidate(0, len(run), kind, marks, read if family else "", "" if family else read)


def _of_half(run: str) -> Iterator[Candidate]:
    read = _read(run)
    marks = ("Z", f"Z{read in words().kana_givens}{read in words().kana_families}")
    yield Candidate(0, len(run), "T", marks, "", read)


def _of_latin(run: str) -> Iterator[Candidate]:
    known, parts = lists(), [latin(one) for one in run.split(" ")]
    listed = [one in known.given_romans or one in known.family_romans for one in parts]
    if not any(listed) and (len(parts) > 1 or not run.istitle()):
        return
    what = "AA" if len(parts) > 1 else "A" if listed[0] and len(parts[0]) > 2 else "AU"
    marks = (what, f"{what}{run.islower()}{run.isupper()}", f"{what}{min(len(run), 10)}", f"A={run.lower()}")
    yield Candidate(0, len(run), "A", marks, "", latin(run.replace(" ", "")))


def _of_mixed(run: str) -> Iterator[Candidate]:
    """ヤス子, ふさ子."""
    read = hiragana(run[:-1])
    marks = (
        "M",
        f"M{run[-1]}",
        f"M{len(run)}{run[0] >= 'ァ'}",
        f"M{_letters(read)}{read in words().kana_givens}",
        f"M={run}",
    )
    yield Candidate(0, len(run), "H", marks, "", run)


_OF = {
    "mixed": _of_mixed,
    "kanji": _of_kanji,
    "hiragana": _of_hiragana,
    "katakana": _of_katakana,
    "half": _of_half,
    "latin": _of_latin,
}
