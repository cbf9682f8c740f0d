"""Names of persons in kana and in Latin letters, in running text."""

from __future__ import annotations

import re
from collections.abc import Iterator

from so8t.corpus import namealone, namecontext, nonames
from so8t.corpus.beginnings import finding
from so8t.corpus.mentions import HONORIFIC, TITLE, Mention
from so8t.corpus.namelabels import kana_parts, latin_parts
from so8t.corpus.namelists import KANJI, Lists, hiragana, latin, lists, plain

_KATAKANA = re.compile(r"[ァ-ヴー]{2,}(?:[ ・][ァ-ヴー]{2,}){0,3}")
_AGENT = re.compile(
    r"(?:[タナバザカヤダガラマ]ー|マン|スト|スタッフ|ショップ|センター|クラブ|チーム|ホテル"
    r"|サービス|システム|グループ)$"
)
_TWO_KATAKANA = re.compile(r"[ァ-ヴー][ァ-ヴー]")
_TITLED = re.compile("さ[んま]|くん|ちゃん|先[生輩]")
_HIRAGANA_PAIR = re.compile(r"(?<![ぁ-ん])([ぁ-ん]{2,6})[ ・]([ぁ-ん]{2,6})(?![ぁ-ん])")
_KATAKANA_SAYS = re.compile(
    r"(?<![ァ-ヴー])(?P<name>[ァ-ヴー]{3,6})(?=です(?!か)|と申し|と申す|といいます|と言います|でございます)"
)
_LATIN_SAYS = re.compile(r"(?<![A-Za-z0-9@._/-])(?P<name>[A-Z][A-Za-z]{3,})(?=\s?(?:です(?!か)|と申|といいます))")
_LOWER_PAIR = re.compile(r"(?<![A-Za-z0-9@._/-])(?P<name>[a-z]{3,}[._][a-z]{3,})(?![A-Za-z0-9@._/-])")
_HIRAGANA_TITLED = re.compile(
    r"(?:(?<![ぁ-ん])|(?<=[のはとにがも]))([ぁ-ん]{2,9}?)(?=さん(?![ぽごぜか])|さま|くん|ちゃん|先生|先輩)"
)
_BRACKETS = re.compile(r"(?<=[（(])([ぁ-んァ-ヴー]{2,12})(?=[)）])")
_WRITTEN_BEFORE = re.compile(f"([{KANJI}]{{1,5}})[ ]?[（(]$")
_LATIN_PAIR = re.compile(r"(?<![A-Za-z0-9@._/-])[A-Z][A-Za-z'-]+(?:,?[ ][A-Z][A-Za-z'-]*\.?){1,2}(?![A-Za-z0-9@_/-])")
_INITIAL = re.compile(r"(?<![A-Za-z0-9@._/-])(?P<name>[A-Z]\.[ ]?[A-Z][a-z]{3,})(?![A-Za-z0-9@_/-])")
_MENTIONED = re.compile(r"(?<![A-Za-z0-9._])@(?P<name>[a-z]{3,}(?:[._-]?[a-z]{1,12})?)(?![A-Za-z0-9@.-])")
_ADDRESSED = re.compile(r"(?<![A-Za-z])(?:Mr|Ms|Mrs|Dr|Prof)\.?[ ](?P<name>[A-Z][A-Za-z'-]+(?:[ ][A-Z][A-Za-z'-]+)?)")
_SALUTED = re.compile(
    r"(?<![A-Za-z])(?:Dear|Hi|Hello|Hey|Thanks|Best|Regards|Sincerely|Cheers)[ ,\n]{1,3}(?P<name>[A-Z][a-z]{2,})"
    r"(?![A-Za-z0-9@])"
)
_NICKNAME = re.compile(f"(?<![{KANJI}])[{KANJI}](?<![赤兄姉爺婆嫁孫娘母父坊猫犬馬鳥熊虎狸弟妹叔伯])(?=ちゃん)")
_FRIEND = re.compile(
    r"(?:^|[^ぁ-んァ-ヴー一-鿿A-Za-z])([ァ-ヴー]{2,5}|[ぁ-ん]{3,5}?)(?=[がもはのにと、,]|って|だよ|んち|から(?:電話|連絡|メール|LINE))(?<![ー])"
)
_RELATIVE = re.compile(
    "(?:お(?:じ|ば|にい|ねえ|じい|ばあ|兄|姉)|にい|ねえ|兄|姉|叔父|叔母|伯父|伯母)(?:さん|ちゃん)(?!の(?:よう|こと))"
)
_BORDER = re.compile(r"(?:^|[^ぁ-んァ-ヴー一-鿿]|[のはとにがもで、])$")
_SPEAKER = re.compile(r"(?m)^[ ]?(?!カナ|メイ|セイ|メモ|マル)([ァ-ヴー]{2,4})[ ]?[:「](?=[^\n])")
_NICK = re.compile(r"(?:^|[\n\] ])<(?P<name>[a-z]{4,})>(?=[ ][ぁ-んァ-ヴ一-鿿])")
_STAFF = re.compile(r"(?<=[ァ-ヴー一-鿿]の)([ぁ-ん]{2,5})(?=です(?!か)|と申|っていい|といい)")
_LATIN = re.compile("[A-Za-z]{3}")
_PASSENGER = re.compile(r"(?<![A-Za-z/])(?P<name>[A-Z]{3,}/[A-Z]{2,}(?:[ ](?:MR|MS|MRS|MISS|MSTR))?)(?![A-Za-z/])")
_SAN = re.compile(
    r"(?<![A-Za-z0-9@._/-])(?P<name>[A-Za-z][A-Za-z'-]{2,}?)[- ]?(?i:san|sama|kun|chan|sensei)(?![A-Za-z0-9])"
)
_LATIN_TITLED = re.compile(
    r"(?<![A-Za-z0-9@._/-])(?P<name>[A-Za-z][A-Za-z'-]+(?:[ ][A-Z][A-Za-z'-]+)?)(?=[ ]?(?:さん"
    r"|さま|様|氏|くん|ちゃん|先生|部長|課長))"
)

_latin_pairs, _addressed = finding(_LATIN_PAIR), finding(_ADDRESSED)
_LATIN_ALONE = tuple(
    map(finding, (_LATIN_SAYS, _SALUTED, _INITIAL, _LOWER_PAIR, _NICK, _MENTIONED, _SAN, _LATIN_TITLED))
)


def in_kana(text: str) -> Iterator[Mention]:
    known, spaced = lists(), " " in text or "・" in text
    if katakana := _TWO_KATAKANA.search(text):
        for match in _KATAKANA.finditer(text, katakana.start()):
            yield from _katakana(text, match.start(), match[0])
    for match in _HIRAGANA_PAIR.finditer(text) if spaced else ():
        family, given = match[1], match[2]
        if family in known.families and given in known.givens and len(family) + len(given) > 4:
            yield Mention(*match.span(), family, given)
    if _TITLED.search(text):
        yield from _hiragana_titled(text, known)
    for match in _NICKNAME.finditer(text) if "ちゃん" in text else ():
        yield Mention(*match.span(), match[0], "")
    yield from _friends(text, known)
    yield from _relatives(text, known)
    yield from _speakers(text, known)
    yield from _staff(text, known)
    for match in _KATAKANA_SAYS.finditer(text) if katakana else ():
        if (family := hiragana(match["name"])) in known.families:
            yield Mention(*match.span("name"), family, "")
    for match in _BRACKETS.finditer(text) if "(" in text or "（" in text else ():
        parts = kana_parts(match[1], known)
        if parts and all(parts) and len(match[1]) > 3:
            yield Mention(*match.span(), *parts)
        elif _is_reading(text, match.start(), hiragana(match[1]), known):
            yield Mention(*match.span(), hiragana(match[1]), "")


def _friends(text: str, known: Lists) -> Iterator[Mention]:
    for match in _FRIEND.finditer(text):
        given = hiragana(match[1])
        if given in known.givens and match[1] not in nonames.FLOWERS and namecontext.friend(text, *match.span(1)):
            yield Mention(*match.span(1), "", given)


def _relatives(text: str, known: Lists) -> Iterator[Mention]:
    """あやねえちゃん, けんたおじさん, 陽子叔母さん."""
    for match in _RELATIVE.finditer(text):
        for size in (4, 3, 2):
            start = match.start() - size
            given = hiragana(text[max(0, start) : match.start()])
            if (
                start >= 0
                and given in known.givens
                and given not in nonames.KANA_WORDS
                and _BORDER.search(text, max(0, start - 1), start)
            ):
                yield Mention(start, match.start(), "", given)
                break


def _speakers(text: str, known: Lists) -> Iterator[Mention]:
    """A given name in katakana before what somebody says."""
    for match in _SPEAKER.finditer(text) if ":" in text or "「" in text else ():
        if hiragana(match[1]) in known.givens and match[1] not in nonames.FLOWERS:
            yield Mention(*match.span(1), "", hiragana(match[1]))


def _staff(text: str, known: Lists) -> Iterator[Mention]:
    """スタッフのあやかです."""
    for match in _STAFF.finditer(text) if "の" in text else ():
        is_name = match[1] in known.givens and match[1] not in nonames.FLOWERS | nonames.KANA_WORDS
        if is_name and namealone.led(text, match.start()):
            yield Mention(*match.span(), "", match[1])


def _hiragana_titled(text: str, known: Lists) -> Iterator[Mention]:
    """Behind a particle, too, which is no part of the name: 娘のあかりちゃん."""
    for match in _HIRAGANA_TITLED.finditer(text):
        for start in range(match.start(), match.end() - 1 if match[1][0] in "のはとにがもで" else match.start() + 1):
            written = text[start : match.end()]
            parts = kana_parts(written, known) if written not in nonames.KANA_WORDS else None
            if parts and (start == match.start() or text[start - 1] in "のはとにがもで"):
                yield Mention(start, match.end(), *parts)
                break


def _is_reading(text: str, start: int, read: str, known: Lists) -> bool:
    """Of the family name before the bracket: 清水（しみず）."""
    before = _WRITTEN_BEFORE.search(text, max(0, start - 8), start)
    written = known.families.get(plain(before[1]), ()) if before else ()
    return not set(known.families.get(read, ())).isdisjoint(written)


def _katakana(text: str, start: int, written: str) -> Iterator[Mention]:
    known, end = lists(), start + len(written)
    words = written.replace("・", " ").split(" ")
    if "".join(words) in nonames.FAMOUS:
        return
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
    if not _LATIN.search(text):
        return
    known = lists()
    for match in _latin_pairs(text):
        parts = latin_parts(match[0], known)
        if parts:
            yield Mention(*match.span(), *parts)
    for match in _PASSENGER.finditer(text) if "/" in text else ():
        parts = latin_parts(re.sub("[/ ](?:MRS?|MS|MISS|MSTR)$", "", match["name"]).replace("/", " "), known)
        if parts:
            yield Mention(*match.span("name"), *parts)
    for match in _addressed(text):
        yield Mention(*match.span("name"), *(latin_parts(match["name"], known) or (latin(match["name"]), "")))
    for found in _LATIN_ALONE:
        for match in found(text):
            word = latin(match["name"])
            parts = latin_parts(match["name"], known)
            if parts is None and word in known.given_romans and len(word) > 2:
                parts = "", word
            if parts:
                yield Mention(*match.span("name"), *parts)
