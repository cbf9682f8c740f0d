"""A family name alone in kanji: with a title, as a speaker, with a role, as who does what persons do."""

from __future__ import annotations

import re

from so8t.corpus import namecontext, nonames
from so8t.corpus.mentions import HONORIFIC, TITLE, Mention
from so8t.corpus.namelists import KANJI, hiragana, lists, plain

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
    r"|編集長|監事|理事|会計|記者|保育士|看護師|教諭|弁護士|スタッフ|撮影|取材|構成|監修|執筆|翻訳|旧姓|被告|原告|被相続人|相続人|申立人|被害者|クラスメート|同級生|先生|店員|客|会員|上記|[部課係室局科]|グループ|チーム|支店|事業所|本社"
)
_LED = re.compile(rf"(?:{_ROLE_WORDS})(?:[のは]|:|・|、|,)?\s?[「（(]?$")
_OF_FIRM = re.compile(
    r"(?:株式会社|有限会社|合同会社|\(株\)|[社部課室科店院組班局校園]|ゼミ|サークル|センター|グループ|チーム|事務局"
    r"|コールセンター|デスク)[^\s、。]{0,15}の$"
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
_SPEAKER = re.compile(r"(?:[（(][^（()）\n]{1,12}[)）])?\s?(?:[:>＞「]|-\s)")
_LINE_START = re.compile(
    r"(?:^|\n|[。」]|\d\d?:\d\d(?::\d\d)?[\])]?)[ \t]*[・\-*●○◯>]?\s?(?:[（(\[【][^（()）\]】\n]{1,12}[)）\]】]\s?)?$"
)
_SENTENCE_START = re.compile(r"(?:^|[\n。、!?！？「『（(:>・,.→⇒]|[ ]|お世話になっております)$")
_READING = re.compile(r"[ ]?[（(][ ]?([ぁ-ん]{2,6}|[ァ-ヴー]{2,6})[ ]?[)）]")
ENDS = re.compile(f"(?![{KANJI}ァ-ヴーA-Za-z0-9])|(?:宛|作|著|談|様)(?![{KANJI}])|生(?![{KANJI}](?<!ま))")


def led(text: str, start: int) -> bool:
    return bool(_LED.search(text, max(0, start - 12), start))


def titled(text: str, start: int, family: str) -> Mention | None:
    end = start + len(family)
    if not TITLE.match(text, end) or (family in nonames.PLACES and _OFFICE.match(text, end)):
        return None
    begins = text[start - 1 : start] in ("の", "は", "と") or _SENTENCE_START.search(text, max(0, start - 14), start)
    if len(family) == 1 and not HONORIFIC.match(text, end) and not begins:
        return None
    return Mention(start, end, family, "")


def spoken(text: str, start: int, stop: int, family: str) -> Mention | None:
    """A family name alone: a speaker, somebody who says who he is, somebody with a role."""
    end = start + len(family)
    usual = is_clear(family) and family in lists().usual_families
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
    usual, clear = family in lists().usual_families, is_clear(family)
    if led(text, start) and ENDS.match(text, end) and (usual or clear or _SAYS.match(text, end)):
        return True
    speaks = _SPEAKER_OF_A_SENTENCE if family in nonames.PLACES else _SPEAKER
    if (usual or family not in nonames.PLACES) and speaks.match(text, end):
        return bool(_LINE_START.search(text, max(0, start - 16), start))
    return clear and bool(_DETAILS.match(text, end))


def _acts(text: str, start: int, end: int, family: str) -> bool:
    """The subject of what persons do; of anything, if the name is a usual one and not a word."""
    head = (text, max(0, start - 16), start)
    begins, clear, does = bool(_SENTENCE_START.search(*head)), is_clear(family), bool(_DOES.match(text, end))
    if does and (begins or (clear and _AFTER_PARTICLE.search(*head))):
        return True
    if not clear:
        return False
    if _ALONE.match(text, end):
        return bool(_ALONE_BEFORE.search(*head))
    if (does or _SAYS.match(text, end)) and (begins or _is_of(text, start)):
        return True
    return family in lists().usual_families and _is_subject(text, end, head)


def is_clear(family: str) -> bool:
    return family not in nonames.PLACES and family not in nonames.WORDS


def _is_subject(text: str, end: int, head: tuple[str, int, int]) -> bool:
    """One of the usual family names at the start of a sentence with a particle, or in a list of them."""
    if other := _LISTED.match(text, end):
        usual = lists().usual_families
        word = plain(other[1])
        if word in usual or word[:2] in usual or word[:3] in usual:
            return is_clear(word)
    if _FOLLOWS.match(text, end) and (_SENTENCE_START.search(*head) or _AFTER_PARTICLE.search(*head)):
        return True
    return text[max(0, end - 6) : head[2]].endswith(("、", "と", "・", "/")) and bool(_FOLLOWS.match(text, end))
