"""A family name with a given one in kanji, and given names and rare family names with an honorific."""

from __future__ import annotations

import re

from so8t.corpus import namecontext, nonames
from so8t.corpus.mentions import HONORIFIC, TITLE, Mention
from so8t.corpus.namealone import ENDS, is_clear, led
from so8t.corpus.namelists import KANJI, Lists, hiragana, plain

_SMALL = re.compile(r"[ ]?(?:くん|クン|ちゃん|チャン|君(?![主臨]))")
ROLE_ENDS = frozenset("部課係室長当社任員者師職科局店班役士授督手名事記録会")
_KIN = re.compile(
    r"(?:妻|夫|[母父]親?|息子|娘|[長次三]男|[長次三]女|兄|弟|姉|妹|祖父|祖母|孫|甥|姪|彼氏|彼女|友人"
    r"|友達|親友|いとこ|同級生"
    r"|主人|旦那|家内|元カノ|元カレ|おば|おじ|うち|嫁|婿|義[父母兄姉弟妹]|叔[父母]|伯[父母]|子ども|子供"
    r"|うちの子)の?(?:名前は)?[、・「 ]?$"
)
_KIN_OF = re.compile(f"(?:{_KIN.pattern[:-1]})(?<=[の ])$")
_GIVEN_ENDS = frozenset("子美香奈斗介輔郎也彦樹之夫雄男恵代江里莉菜花希乃朗太哉翔")
_HIRAGANA_GIVENS = nonames.words(
    """
    あおい あかり あすか あゆみ いずみ いちろう うらら えみ えりか かおり かすみ かなえ きよし きらら くみこ
    くるみ けんじ けんた こころ さおり さくら さやか さゆり しおり じろう すず すみれ たかし たろう つばさ
    つむぎ なおみ なぎさ なつみ ななみ のぞみ はな はなこ はるか はるな ひかり ひかる ひとみ ひなた ひより
    ひろし ふみ ほのか まこと まどか まなみ まゆみ みき みさき みどり みなみ みゆき めぐみ もえ もも ももこ
    あきら あけみ あさみ あつし あつこ あやか あやこ あやの あゆみ いくみ いつき いつこ かえで かおる かずき かずこ
    かずみ
    かつみ かんな きみこ きょうこ くみ けい けいこ けいた こうじ こうた こうへい こずえ こはる さき さちこ さつき
    さとこ
    さとし さとみ さゆみ しげる しほ しょうこ しょうた しんじ すずか すみこ せいこ そうた たかこ たくみ たくや たまき
    ちあき ちえ ちえこ ちか ちさと ちづる ちひろ ちなつ つとむ てつや ともこ ともみ なおき なおこ なつき なつこ なな
    ななこ
    のりこ はじめ はるき はるこ はるみ ひでき ひとみ ひなこ ひろき ひろこ ひろみ ふみこ ふゆみ まい まいこ まき まこ
    まさこ
    まさと まさみ まさる まなぶ まゆ まゆこ まり まりこ まりな みか みお みかこ みさ みさと みちこ みちる みつき
    みなこ みのり
    みほ みやこ みわ めい もとこ やすこ やすし ゆうこ ゆうじ ゆうすけ ゆうた ゆうと ゆうな ゆきえ ゆきこ ゆきの
    ゆづき ゆみ
    ゆみこ ゆり ゆりえ ゆりか ゆりこ ようこ ようすけ よしえ よしみ りえ りお りおん りつこ りゅうじ りょう りょうこ
    りょうた るみ
    るみこ れいこ わかこ
    やよい ゆい ゆうき ゆうこ ゆかこ ゆかり ゆめ よしこ りか りこ りさ りな りん れい れな わかな
    """
)
_HONORIFIC_ONLY = re.compile(r"[ ]?(?:さん|さま|様(?![式子相態々])|氏(?![名族神])|くん|ちゃん)")
BEFORE_RARE = frozenset(" ・さくち")  # a space, or the first character of an honorific that is not in kanji
_AFTER_SPACE = re.compile(f"[ ・]{{1,2}}(?:([{KANJI}]{{1,8}})|([ぁ-ん]{{2,6}}|[ァ-ヴー]{{2,6}})(?![ぁ-んァ-ヴー]))")
_KANA_GIVEN = re.compile(r"(?:[ぁ-ん]{2,4}|[ァ-ヴー]{2,5}(?![ァ-ヴー]))")
_AFTER_GIVEN_KANA = re.compile(r"$|[^ぁ-んァ-ヴー]|さん|さま|くん|ちゃん|です|は|が|の|に|と|も|を|へ|より|から|で")


def with_given(text: str, start: int, stop: int, family: str, rest: str, known: Lists) -> Mention | None:
    end = start + len(family)
    if rest:
        for size in (4, 3, 2, 1):
            given = rest[:size]
            if len(given) == size and given in known.givens:
                after = end + size
                titled = bool(TITLE.match(text, after))
                if (titled or ENDS.match(text, after)) and _is_pair(text, start, family, given, titled):
                    return Mention(start, after, family, given)
        return _unknown_given(text, start, family, rest, known)
    spaced = _AFTER_SPACE.match(text, end)
    if spaced:
        return _spaced(text, start, family, spaced, known)
    kana = _KANA_GIVEN.match(text, end)
    return _joined_kana(text, start, family, kana, known) if kana else None


def _unknown_given(text: str, start: int, family: str, rest: str, known: Lists) -> Mention | None:
    """A given name that no list has: between a family name and an honorific, or of the characters of given names."""
    if family in known.usual_families and is_clear(family) and _may_be_given(rest, known):
        end = start + len(family) + len(rest)
        return Mention(start, end, family, rest) if ENDS.match(text, end) else None
    for size in (2, 1, 3):
        given, end = rest[:size], start + len(family)
        if len(given) < size or len(family) == 1 or not _HONORIFIC_ONLY.match(text, end + size):
            continue
        if given[-1] not in ROLE_ENDS and given not in nonames.NOUNS and not TITLE.match(text, end):
            return Mention(start, end + size, family, given)
    return None


def _may_be_given(word: str, known: Lists) -> bool:
    usual = len(word) == 2 and word[0] in known.given_firsts and word[-1] in known.given_lasts
    return usual and word not in nonames.NOUNS and word[-1] not in nonames.PERSON_ENDS


def _is_pair(text: str, start: int, family: str, given: str, titled: bool) -> bool:
    """A name without anything around it needs both parts to be unlike words."""
    if family + given in nonames.FAMOUS or family + given in nonames.COMPANIES:
        return False
    if titled or led(text, start):
        return len(given) > 1 or given in nonames.SINGLE_GIVENS
    if given in nonames.NOUNS:
        return False
    if len(given) == 1:
        return len(family) > 1 and is_clear(family) and given in nonames.SINGLE_GIVENS
    return len(family) > 1 or given[-1] in _GIVEN_ENDS


def _spaced(text: str, start: int, family: str, after: re.Match[str], known: Lists) -> Mention | None:
    if after[2]:
        given = hiragana(after[2])
        for size in range(len(given), 1, -1):
            end = after.start(2) + size
            if given[:size] in known.givens and _AFTER_GIVEN_KANA.match(text, end):
                if size < len(given) and given[:size] not in _HIRAGANA_GIVENS and not TITLE.match(text, end):
                    continue
                return Mention(start, end, family, given[:size])
        return None
    segment = plain(after[1])
    for size in (4, 3, 2, 1):
        given, end = segment[:size], after.start(1) + size
        if len(given) < size or given not in known.givens or f"{family}{given}" in nonames.FAMOUS:
            continue
        titled = bool(TITLE.match(text, end))
        if not titled and not ENDS.match(text, end):
            continue
        if titled or led(text, start) or given not in nonames.NOUNS:
            return Mention(start, end, family, given) if size > 1 or given in nonames.SINGLE_GIVENS else None
    if family in known.usual_families and is_clear(family) and _may_be_given(segment, known):
        return Mention(start, after.end(1), family, segment)
    return None


def _joined_kana(text: str, start: int, family: str, kana: re.Match[str], known: Lists) -> Mention | None:
    written = kana[0]
    for size in range(len(written), 1, -1):
        given, end = hiragana(written[:size]), kana.start() + size
        usual = given in _HIRAGANA_GIVENS or (written[0] >= "ァ" and size == len(written) and len(written) > 2)
        if given in known.givens and usual and _AFTER_GIVEN_KANA.match(text, end) and len(family) > 1:
            return Mention(start, end, family, given)
    return None


def may_be_given_or_rare(segment: str, known: Lists) -> bool:
    """Whether `given_or_rare` can find something in a run of kanji that no character of `BEFORE_RARE` follows."""
    if "様" in segment or "氏" in segment:
        return True
    words = (segment[:size] for size in (4, 3, 2, 1))
    return any(word in known.givens and (len(word) > 1 or word in nonames.SINGLE_GIVENS) for word in words)


def given_or_rare(text: str, start: int, segment: str, known: Lists) -> Mention | None:
    """A given name with an honorific, or a family name that no list has: 小鳥遊さん."""
    for size in (4, 3, 2, 1):
        word, end = segment[:size], start + size
        if len(word) < size or word in nonames.NOUNS:
            continue
        if word in known.givens and (size > 1 or word in nonames.SINGLE_GIVENS):
            if ENDS.match(text, end) and (_KIN if size > 1 else _KIN_OF).search(text, max(0, start - 8), start):
                return Mention(start, end, "", word)
            if HONORIFIC.match(text, end) and (
                size > 1 or _SMALL.match(text, end) or _KIN.search(text, max(0, start - 8), start)
            ):
                return Mention(start, end, "", word)
            if size > 1 and len(segment) == size and namecontext.given(text, start, end):
                return Mention(start, end, "", word)
        elif size in (2, 3) and _HONORIFIC_ONLY.match(text, end) and _may_be_rare(word):
            return Mention(start, end, word, "")
    return _rare_with_given(text, start, segment, known)


def _rare_with_given(text: str, start: int, segment: str, known: Lists) -> Mention | None:
    """A family name that no list has before a given name: behind a space, or with an honorific after both."""
    for size in (2, 3):
        word, end = segment[:size], start + size
        if not _looks_like_family(word, known):
            continue
        if len(segment) == size and (after := _AFTER_SPACE.match(text, end)):
            found = _spaced(text, start, word, after, known)
            if found and len(found.given) > 1:
                return found
        for given in (segment[size : size + 3], segment[size : size + 2]):
            close = end + len(given)
            if given in known.givens and given not in nonames.NOUNS and _HONORIFIC_ONLY.match(text, close):
                return Mention(start, close, word, given)
    return None


def _may_be_rare(word: str) -> bool:
    return word not in nonames.PLACES and word not in nonames.NOUNS and word[-1] not in nonames.PERSON_ENDS


def _looks_like_family(word: str, known: Lists) -> bool:
    return (
        word[0] in known.family_firsts
        and word[-1] in known.family_lasts
        and word not in nonames.PLACES
        and word[-1] not in nonames.TITLED_ONLY
    )
