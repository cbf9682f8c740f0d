"""Names of persons in Japanese text: where they stand, and what of each is the family name and what the given one.

A name counts by what stands around it (an honorific, a role, a label, a speaker's mark), or as a pair of a known
family name and a known given name between borders.  A family name alone is also a place, a firm or a thing.
Historical and fictional persons stay, and so does a name that a role of public life precedes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from so8t.corpus import namecontext, namelabels, nameswritten, nonames
from so8t.corpus.mentions import HONORIFIC, TITLE, Mention
from so8t.corpus.namelists import KANJI, Lists, hiragana, lists, plain

_SMALL = re.compile(r"[ ]?(?:くん|クン|ちゃん|チャン|君(?![主臨]))")
_OFFICE = re.compile(
    r"[ ]?(?:支店長|所長|工場長|校長|園長|院長|局長|理事長?|議員|監督|選手|記者|夫人|殿|教授"
    r"|委員|社員|隊員|部員|会員|審判|審査員|駅長|支配人|キャプテン|パイセン)"
)
_ROLE_WORDS = (
    r"担当(?:者|医|医師|営業)?|弊社|当社|当院|御社|貴社|上司|部下|同僚|先輩|後輩|(?:部|課|係|社|店"
    r"|院|室|次|班|議|校|園|所|会)長|主任|専務|常務|教授|書記|幹事|主治医|患者|友人|友達|知人|親友"
    r"|妻|夫|母|父|息子|娘|[長次三]男|[長次三]女|兄|弟|姉|妹|祖父|祖母|叔父|叔母|いとこ|彼氏|彼女"
    r"|保護者|契約者|申込者|申請者|営業|総務|経理|人事|開発|法務|広報|受付|講師|顧問|秘書|責任者"
    r"|代表"
    r"|司会|記録|起票|新人|新入社員|社員|職員|従業員|部員|隣|大家|管理人|元同僚|元上司"
    r"|当番|窓口|後任|前任|代理|世話役|発起人|推薦人|保証人|同居人|同期|相棒|恋人|婚約者|義[父母兄姉弟妹]|叔母|甥|姪|孫|喪主"
    r"|店主|会社員|主婦|主将|キャプテン|リーダー|マネージャー|コーチ"
    r"|クラスメート|同級生|先生|店員|客|会員|上記|[部課係室局科]|グループ|チーム|支店|事業所|本社"
)
_LED = re.compile(rf"(?:{_ROLE_WORDS})(?:[のは]|:|・|、|,)?\s?[「（(]?$")
_OF_FIRM = re.compile(
    r"(?:株式会社|有限会社|合同会社|\(株\)|[社部課室科店院]|センター|グループ|チーム|事務局"
    r"|コールセンター|デスク)[^\s、。]{0,15}の$"
)
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
_SAYS = re.compile(
    r"(?:っ?て(?:人|方|言|いう)|という(?:人|方|名|社員)|です(?!か)|でございます|と申し|と申す"
    r"|といいます|と言います|と言う者|という者|宛(?!先|名)|あて(?=[にの])|にて承)"
)
_INTRODUCES = re.compile(r"(?:と申し|と申す|といいます|と言います|と言う者|という者)")
_DOES = re.compile(
    r"(?:が|は|も|に|へ|と|から|より)(?:本日|明日|昨日|午前|午後|現在|ただいま|直接|別途|後日"
    r"|先ほど|改めて|一緒に)?(?:、)?"
    r"(?:対応|担当|出席|欠席|参加|報告|説明|確認|連絡|お?休|不在|出張|伺|参り|承|共有|依頼|相談"
    r"|お願い|転送|引き?継|回答|作成|提出|退職|異動|入社|着任|訪問|同行|同席|発表|司会|進行|修正"
    r"|承認|入院|受診|来店|遅刻|早退|席を外|戻り|申し|折り返)"
)
_FOLLOWS = re.compile(r"(?:が|は|も|に|を|と|へ|から|より(?!も)|の(?=[件方代後退異携電メ席隣分])|宛|、|,)")
_LISTED = re.compile(rf"(?:、|,|・|/|と| )\s?([{KANJI}]{{2,4}})(?=[、,・/との  ()（）。\n]|が|は|も|$|さん|氏)")
_ALONE = re.compile(r"\s*(?:$|\n|[)）\]】」](?!の))")
_ALONE_BEFORE = re.compile(r"(?:^|\n|[(（\[【@]|文責[:：]?|文[:：])\s*$")
_SPEAKER_OF_A_SENTENCE = re.compile(r"\s?[:「]\s?[^\d\s。]{4,}")
_SPOKEN = re.compile(r"[ ]?[:「][ ]?[^\d\n。]{2,40}(?:です|ます|した|ません|ください|[ねよか])(?:[。、!?！？」\n]|$)")
_AFTER_PARTICLE = re.compile(r"(?:は|に|で|を|と|が|も|、)$")
_DETAILS = re.compile(
    r"\s?[（(](?:〔|内線|[^（()）\n]{0,12}(?:部|課|係|室|担当|長|営業|総務|経理|人事|社|記録|書記"
    r"|席|遅刻|母|父|妻|夫|本人|歳|才)[)）])"
)
_PREFIXES = re.compile(
    "(?:今度|昨日|今日|明日|本日|先日|今朝|昨夜|今夜|今回|次回|当日|毎日|以前|最近|先週|来週|今週"
    "|先月|来月|今月|前回|一応|多分|絶対|結局|実際|現在|午前|午後|早速|至急|旧姓|本名|故|元|前"
    "|新婦|新郎)"
)
_SPEAKER = re.compile(r"(?:[（(][^（()）\n]{1,12}[)）])?\s?(?:[:>＞「]|-\s)")
_LINE_START = re.compile(
    r"(?:^|\n|[。」]|\d\d?:\d\d(?::\d\d)?[\])]?)[ \t]*[・\-*●○◯>]?\s?(?:[（(\[【][^（()）\]】\n]{1,12}[)）\]】]\s?)?$"
)
_SENTENCE_START = re.compile(r"(?:^|[\n。、!?！？「『（(:>・,.]|[ ]|お世話になっております)$")
_ROLE_ENDS = frozenset("部課係室長当社任員者師職科局店班役士授督手名事記録会")
_KIN = re.compile(
    r"(?:妻|夫|[母父]親?|息子|娘|[長次三]男|[長次三]女|兄|弟|姉|妹|祖父|祖母|孫|甥|姪|彼氏|彼女|友人"
    r"|友達|親友|いとこ|同級生|子ども|子供|うちの子)の?(?:名前は)?[、「]?$"
)
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
_READING = re.compile(r"[ ]?[（(][ ]?([ぁ-ん]{2,6}|[ァ-ヴー]{2,6})[ ]?[)）]")
_LETTER = re.compile(f"[{KANJI}ァ-ヴーぁ-ん]")
_KANJI_OR_KATAKANA = re.compile(f"[{KANJI}ァ-ヴー]")
_HONORIFIC_ONLY = re.compile(r"[ ]?(?:さん|さま|様(?![式子相態々])|氏(?![名族神])|くん|ちゃん)")
_RUN = re.compile(f"[{KANJI}]+(?:ノ[{KANJI}]+)?")
_AFTER_SPACE = re.compile(f"[ ・]{{1,2}}(?:([{KANJI}]{{1,8}})|([ぁ-ん]{{2,6}}|[ァ-ヴー]{{2,6}})(?![ぁ-んァ-ヴー]))")
_KANA_GIVEN = re.compile(r"(?:[ぁ-ん]{2,4}|[ァ-ヴー]{2,5}(?![ァ-ヴー]))")
_ENDS = re.compile(f"(?![{KANJI}ァ-ヴーA-Za-z0-9])|(?:宛|作|著|談|様)(?![{KANJI}])|生(?![{KANJI}](?<!ま))")
_AFTER_GIVEN_KANA = re.compile(r"$|[^ぁ-んァ-ヴー]|さん|さま|くん|ちゃん|です|は|が|の|に|と|も|を|へ|より|から|で")


def find(text: str) -> list[Mention]:
    """Every name, in order and without overlap; the text must be folded (see `findings.folded`)."""
    found = [*namelabels.labelled(text), *in_kanji(text), *nameswritten.in_kana(text), *nameswritten.in_latin(text)]
    found.sort(key=lambda mention: (mention.start, -mention.end))
    kept = _apart(found)
    again = list(_again(text, kept))
    return _apart(sorted([*kept, *again], key=lambda mention: mention.start)) if again else kept


def _apart(found: list[Mention]) -> list[Mention]:
    kept: list[Mention] = []
    for mention in found:
        if not kept or mention.start >= kept[-1].end:
            kept.append(mention)
    return kept


def _again(text: str, found: list[Mention]) -> Iterator[Mention]:
    """Who is named somewhere in a text is meant where the family name, or the given one, stands alone in it, too."""
    parts = {one.family: (one.family, "") for one in found if len(one.family) > 1 and _is_clear(one.family)}
    parts |= {one.given: ("", one.given) for one in found if len(one.given) > 1 and one.given not in nonames.NOUNS}
    for word, (family, given) in parts.items():
        start = text.find(word) if word[0] >= "一" else -1
        while start >= 0:
            end = start + len(word)
            alone = not (_LETTER.match(text, start - 1) if start else None) and not _KANJI_OR_KATAKANA.match(text, end)
            if alone and not any(one.start < end and start < one.end for one in found):
                yield Mention(start, end, family, given)
            start = text.find(word, end)


# --- in kanji --------------------------------------------------------------------------------------------------


def in_kanji(text: str) -> Iterator[Mention]:
    known = lists()
    for run in _RUN.finditer(text):
        place, stop = run.span()
        start = place
        while start < stop:
            if start > place and text[start - 1] not in _ROLE_ENDS and not _PREFIXES.fullmatch(text, place, start):
                start += 1
                continue
            mention = _at(text, start, stop, place, known)
            if mention:
                yield mention
                start = mention.end
            else:
                start += 1


def _at(text: str, start: int, stop: int, place: int, known: Lists) -> Mention | None:
    segment = plain(text[start:stop])
    if segment[:5] in nonames.FAMOUS or any(segment[:size] in nonames.FAMOUS for size in (4, 3, 6)):
        return None
    for size in (4, 3, 2, 1):
        family = segment[:size]
        if len(family) < size or family not in known.families or not _may_be_family(family, start > place):
            continue
        mention = (
            _with_given(text, start, stop, family, segment[size:], known)
            or _titled(text, start, family)
            or _spoken(text, start, stop, family)
        )
        if mention and not _is_public(text, mention):
            return mention
    return None if start > place else _given_or_rare(text, start, segment, known)


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
    )


def led(text: str, start: int) -> bool:
    return bool(_LED.search(text, max(0, start - 12), start))


def _with_given(text: str, start: int, stop: int, family: str, rest: str, known: Lists) -> Mention | None:
    end = start + len(family)
    if rest:
        for size in (4, 3, 2, 1):
            given = rest[:size]
            if len(given) == size and given in known.givens:
                after = end + size
                titled = bool(TITLE.match(text, after))
                if (titled or _ENDS.match(text, after)) and _is_pair(text, start, family, given, titled):
                    return Mention(start, after, family, given)
        return _unknown_given(text, start, family, rest, known)
    spaced = _AFTER_SPACE.match(text, end)
    if spaced:
        return _spaced(text, start, family, spaced, known)
    kana = _KANA_GIVEN.match(text, end)
    return _joined_kana(text, start, family, kana, known) if kana else None


def _unknown_given(text: str, start: int, family: str, rest: str, known: Lists) -> Mention | None:
    """A given name that no list has: between a family name and an honorific, or of the characters of given names."""
    if family in known.usual_families and _is_clear(family) and _may_be_given(rest, known):
        end = start + len(family) + len(rest)
        return Mention(start, end, family, rest) if _ENDS.match(text, end) else None
    for size in (2, 1, 3):
        given, end = rest[:size], start + len(family)
        if len(given) < size or len(family) == 1 or not _HONORIFIC_ONLY.match(text, end + size):
            continue
        if given[-1] not in _ROLE_ENDS and given not in nonames.NOUNS and not TITLE.match(text, end):
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
        return len(family) > 1 and _is_clear(family) and given in nonames.SINGLE_GIVENS
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
        if not titled and not _ENDS.match(text, end):
            continue
        if titled or led(text, start) or given not in nonames.NOUNS:
            return Mention(start, end, family, given) if size > 1 or given in nonames.SINGLE_GIVENS else None
    if family in known.usual_families and _is_clear(family) and _may_be_given(segment, known):
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


def _titled(text: str, start: int, family: str) -> Mention | None:
    end = start + len(family)
    if not TITLE.match(text, end) or (family in nonames.PLACES and _OFFICE.match(text, end)):
        return None
    begins = text[start - 1 : start] in ("の", "は", "と") or _SENTENCE_START.search(text, max(0, start - 14), start)
    if len(family) == 1 and not HONORIFIC.match(text, end) and not begins:
        return None
    return Mention(start, end, family, "")


def _spoken(text: str, start: int, stop: int, family: str) -> Mention | None:
    """A family name alone: a speaker, somebody who says who he is, somebody with a role."""
    end = start + len(family)
    usual = _is_clear(family) and family in lists().usual_families
    if end != stop and not (text[end] in "拝記印" and usual and namecontext.family(text, start, end)):
        return None
    if len(family) == 1 and _is_speaker(text, start, end):
        return Mention(start, end, family, "")
    if len(family) == 1:
        single = _INTRODUCES.match(text, end) or (_SAYS.match(text, end) and (led(text, start) or _is_of(text, start)))
        return Mention(start, end, family, "") if single or (led(text, start) and _DOES.match(text, end)) else None
    meant = text[start - 1 : start] == "@" or _INTRODUCES.match(text, end)
    if meant or _has_a_role(text, start, end, family) or _acts(text, start, end, family):
        return Mention(start, end, family, "")
    if usual and namecontext.family(text, start, end):
        return Mention(start, end, family, "")
    return Mention(start, end, family, "") if _is_read(text, end, family) else None


def _is_read(text: str, end: int, family: str) -> bool:
    """How it is read stands behind it: 清水（しみず）."""
    written = _READING.match(text, end)
    known = lists().families
    return written is not None and not set(known[family]).isdisjoint(known.get(hiragana(written[1]), ()))


def _is_speaker(text: str, start: int, end: int) -> bool:
    """Of a name of one character, before what somebody says: not of the point of a compass."""
    begins = _LINE_START.search(text, max(0, start - 16), start)
    return bool(begins and text[start] not in "東西南北星泉" and _SPOKEN.match(text, end))


def _is_of(text: str, start: int) -> bool:
    return bool(_OF_FIRM.search(text, max(0, start - 24), start))


def _has_a_role(text: str, start: int, end: int, family: str) -> bool:
    usual, clear = family in lists().usual_families, _is_clear(family)
    if led(text, start) and _ENDS.match(text, end) and (usual or clear or _SAYS.match(text, end)):
        return True
    speaks = _SPEAKER_OF_A_SENTENCE if family in nonames.PLACES else _SPEAKER
    if (usual or family not in nonames.PLACES) and speaks.match(text, end):
        return bool(_LINE_START.search(text, max(0, start - 16), start))
    return clear and bool(_DETAILS.match(text, end))


def _acts(text: str, start: int, end: int, family: str) -> bool:
    """The subject of what persons do; of anything, if the name is a usual one and not a word."""
    head = (text, max(0, start - 16), start)
    begins, clear, does = bool(_SENTENCE_START.search(*head)), _is_clear(family), bool(_DOES.match(text, end))
    if does and (begins or (clear and _AFTER_PARTICLE.search(*head))):
        return True
    if not clear:
        return False
    if _ALONE.match(text, end):
        return bool(_ALONE_BEFORE.search(*head))
    if (does or _SAYS.match(text, end)) and (begins or _is_of(text, start)):
        return True
    return family in lists().usual_families and _is_subject(text, end, head)


def _is_clear(family: str) -> bool:
    return family not in nonames.PLACES and family not in nonames.WORDS


def _is_subject(text: str, end: int, head: tuple[str, int, int]) -> bool:
    """One of the usual family names at the start of a sentence with a particle, or in a list of them."""
    if other := _LISTED.match(text, end):
        usual = lists().usual_families
        word = plain(other[1])
        if word in usual or word[:2] in usual or word[:3] in usual:
            return _is_clear(word)
    if _FOLLOWS.match(text, end) and (_SENTENCE_START.search(*head) or _AFTER_PARTICLE.search(*head)):
        return True
    return text[max(0, end - 6) : head[2]].endswith(("、", "と", "・", "/")) and bool(_FOLLOWS.match(text, end))


def _given_or_rare(text: str, start: int, segment: str, known: Lists) -> Mention | None:
    """A given name with an honorific, or a family name that no list has: 小鳥遊さん."""
    for size in (4, 3, 2, 1):
        word, end = segment[:size], start + size
        if len(word) < size or word in nonames.NOUNS:
            continue
        if word in known.givens and size > 1 and _KIN.search(text, max(0, start - 8), start) and _ENDS.match(text, end):
            return Mention(start, end, "", word)
        if word in known.givens and (size > 1 or word in nonames.SINGLE_GIVENS):
            kin = _KIN.search(text, max(0, start - 8), start)
            titled = HONORIFIC if size > 1 or kin else _SMALL
            if titled.match(text, end):
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
