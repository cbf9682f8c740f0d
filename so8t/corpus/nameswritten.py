"""Names of persons in kana and in Latin letters, in running text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from so8t.corpus import nonames
from so8t.corpus.mentions import HONORIFIC, TITLE, Mention
from so8t.corpus.namelabels import kana_parts, latin_parts
from so8t.corpus.namelists import hiragana, latin, lists

_KATAKANA = re.compile(r"[ァ-ヴー]{2,}(?:[ ・][ァ-ヴー]{2,}){0,3}")
_AGENT = re.compile(
    r"(?:[タナバザカヤダガラマ]ー|マン|スト|スタッフ|ショップ|センター|クラブ|チーム|ホテル"
    r"|サービス|システム|グループ)$"
)
_HIRAGANA_PAIR = re.compile(r"(?<![ぁ-ん])([ぁ-ん]{2,6})[ ・]([ぁ-ん]{2,6})(?![ぁ-ん])")
_KATAKANA_SAYS = re.compile(
    r"(?<![ァ-ヴー])(?P<name>[ァ-ヴー]{3,6})(?=です(?!か)|と申し|と申す|といいます|と言います|でございます)"
)
_LATIN_SAYS = re.compile(r"(?<![A-Za-z0-9@._/-])(?P<name>[A-Z][A-Za-z]{3,})(?=\s?(?:です(?!か)|と申|といいます))")
_LOWER_PAIR = re.compile(r"(?<![A-Za-z0-9@._/-])(?P<name>[a-z]{3,}[._][a-z]{3,})(?![A-Za-z0-9@._/-])")
_HIRAGANA_TITLED = re.compile(
    r"(?:(?<![ぁ-ん])|(?<=[のはとにがも]))([ぁ-ん]{2,9}?)(?=さん(?![ぽごぜか])|さま|くん|ちゃん|先生|先輩)"
)
_HIRAGANA_BRACKETS = re.compile(r"(?<=[（(])([ぁ-んァ-ヴー]{4,12})(?=[)）])")
_LATIN_PAIR = re.compile(r"(?<![A-Za-z0-9@._/-])[A-Z][A-Za-z'-]+(?:,?[ ][A-Z][A-Za-z'-]*\.?){1,2}(?![A-Za-z0-9@_/-])")
_INITIAL = re.compile(r"(?<![A-Za-z0-9@._/-])(?P<name>[A-Z]\.[ ]?[A-Z][a-z]{3,})(?![A-Za-z0-9@_/-])")
_MENTIONED = re.compile(r"(?<![A-Za-z0-9._])@(?P<name>[a-z]{3,}(?:[._-]?[a-z]{1,12})?)(?![A-Za-z0-9@.-])")
_ADDRESSED = re.compile(r"(?<![A-Za-z])(?:Mr|Ms|Mrs|Dr|Prof)\.?[ ](?P<name>[A-Z][A-Za-z'-]+(?:[ ][A-Z][A-Za-z'-]+)?)")
_SAN = re.compile(
    r"(?<![A-Za-z0-9@._/-])(?P<name>[A-Za-z][A-Za-z'-]{2,}?)[- ]?(?i:san|sama|kun|chan|sensei)(?![A-Za-z0-9])"
)
_LATIN_TITLED = re.compile(
    r"(?<![A-Za-z0-9@._/-])(?P<name>[A-Za-z][A-Za-z'-]+(?:[ ][A-Z][A-Za-z'-]+)?)(?=[ ]?(?:さん"
    r"|さま|様|氏|くん|ちゃん|先生|部長|課長))"
)


def in_kana(text: str) -> Iterator[Mention]:
    known = lists()
    for match in _KATAKANA.finditer(text):
        yield from _katakana(text, match.start(), match[0])
    for match in _HIRAGANA_PAIR.finditer(text):
        family, given = match[1], match[2]
        if family in known.families and given in known.givens and len(family) + len(given) > 4:
            yield Mention(*match.span(), family, given)
    for match in _HIRAGANA_TITLED.finditer(text):
        parts = kana_parts(match[1], known) if match[1] not in nonames.KANA_WORDS else None
        if parts:
            yield Mention(*match.span(), *parts)
    for match in _KATAKANA_SAYS.finditer(text):
        if (family := hiragana(match["name"])) in known.families:
            yield Mention(*match.span("name"), family, "")
    for match in _HIRAGANA_BRACKETS.finditer(text):
        parts = kana_parts(match[1], known)
        if parts and all(parts):
            yield Mention(*match.span(), *parts)


def _katakana(text: str, start: int, written: str) -> Iterator[Mention]:
    known, end = lists(), start + len(written)
    if "".join(re.split("[ ・]", written)) in nonames.FAMOUS:
        return
    words = re.split("[ ・]", written)
    titled = bool(HONORIFIC.match(text, end))
    if titled and (words[-1] in nonames.KATAKANA_WORDS or (len(words) == 1 and _AGENT.search(written))):
        if not kana_parts(written, known):
            return
        titled = words[-1] not in nonames.KATAKANA_WORDS and hiragana(words[-1]) in known.givens
    parts = kana_parts(written, known)
    if len(words) > 1 and parts and len(written) > 5:
        yield Mention(start, end, *parts)
    elif titled:
        yield Mention(start, end, *(parts or (hiragana(written), "")))
    elif parts and (_is_whole(parts, written) or (TITLE.match(text, end) and words[-1] not in nonames.KATAKANA_WORDS)):
        yield Mention(start, end, *parts)


def _is_whole(parts: tuple[str, str], written: str) -> bool:
    """Both names in one word, long enough to be no other."""
    return all(parts) and len(written) > 5 and len(parts[0]) > 2


def in_latin(text: str) -> Iterator[Mention]:
    known = lists()
    for match in _LATIN_PAIR.finditer(text):
        parts = latin_parts(match[0], known)
        if parts:
            yield Mention(*match.span(), *parts)
    for match in _ADDRESSED.finditer(text):
        yield Mention(*match.span("name"), *(latin_parts(match["name"], known) or (latin(match["name"]), "")))
    for pattern in (_LATIN_SAYS, _INITIAL, _LOWER_PAIR, _MENTIONED, _SAN, _LATIN_TITLED):
        for match in pattern.finditer(text):
            word = latin(match["name"])
            parts = latin_parts(match["name"], known)
            if parts is None and word in known.given_romans and len(word) > 2:
                parts = "", word
            if parts:
                yield Mention(*match.span("name"), *parts)
