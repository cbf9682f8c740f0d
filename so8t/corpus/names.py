"""Names of persons in Japanese text: where they stand, and what of each is the family name and what the given one.

A name counts by what stands around it (an honorific, a role, a label, a speaker's mark), or as a pair of a known
family name and a known given name between borders.  A family name alone is also a place, a firm or a thing: where no
rule speaks, a sum over the word and its surroundings decides (see `bare.scoring`).
Historical and fictional persons stay, and so does a name that a role of public life precedes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from so8t.corpus import namelabels, nameswritten, nonames
from so8t.corpus.bare import scoring
from so8t.corpus.mentions import HONORIFIC, TITLE, Mention
from so8t.corpus.namealone import is_clear, spoken, titled
from so8t.corpus.namelists import KANJI, Lists, lists, plain
from so8t.corpus.namepairs import BEFORE_RARE, ROLE_ENDS, given_or_rare, may_be_given_or_rare, with_given

_PUBLIC = re.compile(
    r"(?:武将|大名|文豪|作家|小説家|俳人|歌人|詩人|画家|絵師|将軍|総理|首相|大統領|天皇|皇帝|女王"
    r"|主人公|登場人物|ヒロイン|キャラ(?:クター)?|探偵|怪盗|俳優|女優|歌手|声優|漫画家|作曲家"
    r"|映画監督"
    r"|力士|横綱|戦国|幕末|明治|江戸|偉人|思想家|哲学者|物理学者|発明家)(?:時代)?(?:[のは・、]|である)?\s?「?$"
)
_FIRM = re.compile(r"(?:株式会社|有限会社|合同会社|\(株\)|\(有\)|㈱|㈲|社団法人|財団法人|医療法人)\s?$")
_WORK = re.compile(
    r"(?:が書いた|が著した|が描いた|が作曲した|の)?(?:『|(?:の)?(?:小説|俳句|詩集|浮世絵|作品|著書|伝記|生涯|名言))"
)
_PREFIXES = re.compile(
    "(?:今度|昨日|今日|明日|本日|先日|今朝|昨夜|今夜|今回|次回|当日|毎日|以前|最近|先週|来週|今週"
    "|先月|来月|今月|前回|一応|多分|絶対|結局|実際|現在|午前|午後|早速|至急|旧姓|本名|故|元|前"
    "|新婦|新郎|被告|原告|(?:被)?相続人|申立人|代理人|被害者)"
)
_LETTER = re.compile(f"[{KANJI}ァ-ヴーぁ-ん]")
_KANJI_OR_KATAKANA = re.compile(f"[{KANJI}ァ-ヴー]")
_RUN = re.compile(f"[{KANJI}]+(?:ノ[{KANJI}]+)?")

_JOINED = re.compile(
    rf"(?:{TITLE.pattern})?[ ]?(?:と|、|,|・|/|&)[ ]?(?P<name>[{KANJI}]{{2,5}})"
    r"(?=[でがはにのもを。、と,・/\n)）]|$|両名)"
)


def find(text: str) -> list[Mention]:
    """Every name, in order and without overlap; the text must be folded (see `findings.folded`)."""
    found = by_rules(text)
    bare = [one for one in scoring.find(text, found) if not _is_public(text, one)]
    return _and_again(text, _apart([*found, *bare])) if bare else found


def by_rules(text: str) -> list[Mention]:
    """Those that have something beside them, or both parts."""
    found = [*namelabels.labelled(text), *in_kanji(text), *nameswritten.in_kana(text), *nameswritten.in_latin(text)]
    return _and_again(text, _apart(found)) if found else found


def _and_again(text: str, found: list[Mention]) -> list[Mention]:
    again = [*_again(text, found), *_beside(text, found)]
    return _apart([*found, *again]) if again else found


def _apart(found: list[Mention]) -> list[Mention]:
    kept: list[Mention] = []
    for mention in sorted(found, key=lambda one: (one.start, -one.end)):
        if not kept or mention.start >= kept[-1].end:
            kept.append(mention)
    return kept


def _again(text: str, found: list[Mention]) -> Iterator[Mention]:
    """Who is named somewhere in a text is meant where the family name, or the given one, stands alone in it, too."""
    parts = {one.family: (one.family, "") for one in found if len(one.family) > 1 and is_clear(one.family)}
    parts |= {one.given: ("", one.given) for one in found if len(one.given) > 1 and one.given not in nonames.NOUNS}
    for word, (family, given) in parts.items():
        start = text.find(word) if word[0] >= "一" else -1
        while start >= 0:
            end = start + len(word)
            alone = not (_LETTER.match(text, start - 1) if start else None) and not _KANJI_OR_KATAKANA.match(text, end)
            if alone and not any(one.start < end and start < one.end for one in found):
                yield Mention(start, end, family, given)
            start = text.find(word, end)


def _beside(text: str, found: list[Mention]) -> Iterator[Mention]:
    """A family name, or one with a given name, that と, a comma or a point joins to somebody."""
    known, starts = lists(), {one.start for one in found}
    for one in found:
        place = one.end
        while (joined := _JOINED.match(text, place)) and joined.start("name") not in starts:
            if not (parts := _joined(plain(joined["name"]), known)):
                break
            yield Mention(*joined.span("name"), *parts)
            place = joined.end()


def _joined(word: str, known: Lists) -> tuple[str, str] | None:
    if word in known.usual_families and is_clear(word):
        return word, ""
    for size in (3, 2):
        family, given = word[:size], word[size:]
        if family in known.usual_families and given in known.givens and word not in nonames.FAMOUS:
            return family, given
    return None


def in_kanji(text: str) -> Iterator[Mention]:
    known = lists()
    for run in _RUN.finditer(text):
        place, stop = run.span()
        end = place
        for start in _starts(run[0]):
            if start.needs and text[stop : stop + 1] not in BEFORE_RARE:
                continue
            if place + start.offset >= end and (mention := _at(text, place, stop, start, known)):
                yield mention
                end = mention.end


class _Start(NamedTuple):
    """Where in a run of kanji a name may begin: what is left of the run, and what of that is a family name.

    It `needs` a space or an honorific behind the run if nothing in the run itself makes it a name.
    """

    offset: int
    segment: str
    families: tuple[str, ...]
    needs: bool


@lru_cache(maxsize=1 << 14)
def _starts(run: str) -> tuple[_Start, ...]:
    """Of a run by itself; runs are words, and most words come again."""
    known = lists()
    offsets = (
        offset
        for offset in range(len(run))
        if not offset or run[offset - 1] in ROLE_ENDS or _PREFIXES.fullmatch(run, 0, offset)
    )
    found = (_start(plain(run[offset:]), offset, known) for offset in offsets)
    return tuple(start for start in found if start)


def _start(segment: str, offset: int, known: Lists) -> _Start | None:
    if any(segment[:size] in nonames.FAMOUS for size in (5, 4, 3, 6)):
        return None
    words = (segment[:size] for size in (4, 3, 2, 1) if len(segment) >= size)
    families = tuple(
        word
        for word in words
        if (word in known.families or word in nonames.SINGLE_FAMILIES) and _may_be_family(word, offset > 0)
    )
    if offset and not families:
        return None
    return _Start(offset, segment, families, not families and not may_be_given_or_rare(segment, known))


def _at(text: str, place: int, stop: int, found: _Start, known: Lists) -> Mention | None:
    start, segment = place + found.offset, found.segment
    for family in found.families:
        mention = (
            with_given(text, start, stop, family, segment[len(family) :], known)
            or titled(text, start, family)
            or spoken(text, start, stop, family)
        )
        if mention and not _is_public(text, mention):
            return mention
    return None if found.offset else given_or_rare(text, start, segment, known)


def _may_be_family(family: str, inside: bool) -> bool:
    return len(family) > 1 or (family in nonames.SINGLE_FAMILIES and not inside)


def _is_public(text: str, mention: Mention) -> bool:
    head = text[max(0, mention.start - 14) : mention.start]
    return bool(
        _PUBLIC.search(head)
        or (mention.given and _WORK.match(text, mention.end))
        or (_FIRM.search(head) and not HONORIFIC.match(text, mention.end))
        or text[mention.start : mention.end] in nonames.FAMOUS
        or text[mention.start : mention.end] in nonames.COMPANIES
        or text[mention.start : mention.end + 1] in nonames.COMPANIES
    )
