"""Names behind a label: 氏名, 担当者, フリガナ, Attendees; one after another where several are listed."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from so8t.corpus import nonames
from so8t.corpus.beginnings import first, leaping, matches
from so8t.corpus.mentions import HONORIFICS, RANKS, Mention
from so8t.corpus.namelists import KANJI, Lists, hiragana, latin, lists, plain

_STRONG = (
    r"氏\s?名|旧姓|姓(?=\s?[:=])|セイ(?=\s?[:=])|メイ(?=\s?[:=])|(?<![一-鿿])名(?=\s?[:=])|お?名前"
    r"|ご?芳名|姓名|(?:口座)?名義(?:人)?|受取人名?|フリガナ|ふりがな|カナ氏名|カナ"
    r"|ローマ字(?:氏名)?|(?:患者|生徒|児童|社員|従業員|会員|顧客|利用者|保護者|契約者|申込者"
    r"|受診者|担当者|作成者|世帯主"
    r"|予約者?|宿泊者?|搭乗者?|申込|申請者|購入者?|応募者?|参加者?|利用者|飼い主|主治医|講師|著者|届出人|代表者"
    r")(?:氏)?名"
    r"|(?i:(?:customer|user|client|patient|employee|member|contact|author|staff|sender)"
    r"(?:[ _]name|name(?=[\"']?\s?[:=]))|full[ _]?name|first[ _]?name|last[ _]?name|(?<![a-z_])name|surname)"
)
_WEAK = (
    r"(?:ご?担当|責任)(?:者|医|医師|営業|教員|看護師)?|申込者|申請者|契約者|届出人|依頼[者主]"
    r"|受取人|送り主|差出人|ご?依頼主|主治医|宛先|宛名|お届け先|送付先|記入者?|記録者?|作成者?"
    r"|起票者?|承認者?|確認者?|報告者?|投稿者|発言者|発表者?|回答者"
    r"|出席者?|参加者?|参加メンバー|メンバー|欠席者?|遅刻|同席者?|司会|進行|議長|書記|患者|受診者"
    r"|生徒|児童|保護者|会員|顧客|お客様|主治医|執刀医|利用者|ユーザー?|被保険者|世帯主|代表者?"
    r"|代理人|(?:緊急)?連絡先|当直|対応者?|受付者?|講師|登壇者|訪問者|来訪者|来客|勤務者|同行者?"
    r"|応対者|作業者|面接官|運転者|所有者|ご?注文者|請求先|看護師|美容師|薬剤師|保育士|撮影|翻訳|イラスト|ナレーション|脚本|演出|"
    r"当番|欠席連絡|日直|宿直|夜勤|早番|遅番|質問者|提案者|起案者?|決裁者?|推薦人|(?:連帯)?保証人|身元引受人|同居人|引率"
    r"|指導(?:者|教員|医)|文責|取材|聞き手|語り手|相続人|債務者|債権者|貸主|借主|売主|買主|加害者|被害者|目撃者|通報者|証人"
    r"|原告|被告|申立人|喪主|故人|新郎|新婦|お?子(?:様|さま|さん)|園児|入居者|介護者|担任|校長|監督|キャプテン|発注者|受注者"
    r"|紹介者|上長|部下|配偶者|本人|相手方?|送信者|受信者|更新者|編集者|実行者|操作者|登録者"
    r"|(?i:(?<![a-z_])(?:from|to|cc|author|assignee|reporter|owner|user|customer|contact"
    r"|attendees?|operator|patient|employee|sender|recipient|responsible|approver|reviewer|manager|agent|staff|caller|guest"
    r"|student|teacher|doctor|nurse|approved[_ ]by|created[_ ]by"
    r"|updated[_ ]by|assigned[_ ]to|by))"
)
_HEAD = re.compile(
    rf"(?:(?P<strong>{_STRONG})|{_WEAK})(?:[（(][^（()）\n]{{0,10}}[)）])?[\"']?(?:\s{{0,3}}[:=】\]→⇒"
    rf"|>]\s{{0,3}}[\"']?|(?(strong)\s?は\s?|(?!))"
    rf"|(?(strong)[ \t]+|(?P<spaced>(?:(?<=[者人主医長記会席])|(?<=ed[ _]by)|(?<=ed[ _]to))[ ]{{1,3}})))"
    rf"(?:(?:{RANKS})[ ]{{1,2}})?"
)
_BEGINS = first(_HEAD)
_HINT = leaping(re.compile(r"[:=】\]|>→⇒]|[名前ナな義人姓ey]\s?[は \t]|[者人主医長記会席)）][ ]"))
_VALUE = re.compile(
    rf"(?P<kanji>[{KANJI}]{{1,6}}(?:[ ・]{{1,2}}(?:[{KANJI}]{{1,5}}|[ぁ-ん]{{2,6}}"
    rf"|[ァ-ヴー]{{2,8}})(?![{KANJI}]|\s?[:=]))?(?:(?!です|でし|でご|であ|とい)[ぁ-ん]{{2,4}}(?=$|[\s、。,/)」(]))?)"
    rf"|(?P<kana>[ァ-ヴー]{{2,12}}(?:[ ・=][ァ-ヴー]{{2,12}}){{0,3}}|[ぁ-ん]{{2,6}}[ ・]"
    rf"[ぁ-ん]{{2,6}}|[ぁ-ん]{{2,10}}?(?=$|[\s、。,/)」]|です|って|と[申い言])|(?P<half>[ｦ-ﾟ]{{2,}}(?:[ ･][ｦ-ﾟ]{{2,}})?))"
    r"|(?P<latin>[A-Z][A-Za-z.'-]+(?:,?[ ][A-Z][A-Za-z.'-]*){0,3}|[a-z]+(?:[._ -][a-z]+)?(?![A-Za-z0-9@._-]))"
)
_TAIL = re.compile(
    rf"[ ]?(?:{HONORIFICS}|{RANKS})?(?:[（(][^（()）\n]{{0,16}}[)）])?(?:[ ]?(?:{HONORIFICS}))?\s?"
    rf"(?:[、,・/／;]|と(?=[{KANJI}]))\s?"
)
_TITLE_AT_END = re.compile(rf"[ ]?(?:{HONORIFICS}|{RANKS})$")
_BORDER = re.compile(rf"(?![{KANJI}A-Za-z0-9])|{HONORIFICS}|{RANKS}")
_INFLECTED = re.compile("[すくるいうつむぶぬぐきしちりみびぎけせてめねれげべえっんだな]")  # 見直す
_SENTENCE_END = re.compile("(?:ません|ます|です|した|ない|なし|する)$")
_NOT_NAMES = nonames.words(
    """
    未定 不明 同上 別紙 匿名 本人 担当 様式 必須 任意 入力 記入 全員 各位 空欄 省略 非公開 該当 変更 確認 登録
    生年月日 住所 電話 電話番号 性別 年齢 職業 所属 続柄 連絡先 部署 役職 会社名 日付 備考 印 署名 記載例 見本
    使用 併記
    未記入 名無 無記名 なし 仮名 実名 漢字 全角 半角 以下 別途 自分 貴方
    """
)
_ORGANISATION = re.compile(
    r"(?:部|課|社|係|室|店|局|会|院|校|園|所|署|者|員|先|用|行|号|駅|市|県|区|町|村|課題|資料|事項"
    r"|様式|窓口|名|欄|表|書|項目|一覧|中)$"
)


def labelled(text: str) -> Iterator[Mention]:
    if not _HINT.search(text):
        return
    known = lists()
    for head in matches(_HEAD, _BEGINS, text):
        place = head.end()
        strong = bool(head["strong"])
        while value := _VALUE.match(text, place):
            mention = _name(value, text, strong, known)
            if mention is None or (head["spaced"] and not _is_sure(mention, known)):
                break
            yield mention
            tail = _TAIL.match(text, mention.end)
            if not tail:
                break
            place, strong = tail.end(), False


def _name(value: re.Match[str], text: str, strong: bool, known: Lists) -> Mention | None:
    start, written = value.start(), _TITLE_AT_END.sub("", value[0]).rstrip()
    first = written.partition(" ")[0]
    if value["latin"] and first.islower() and not latin_parts(written, known):
        written = first  # what follows in a line of a log is another field
    if not written or not _BORDER.match(text, start + len(written)):
        return None
    if value["kanji"] and not strong and _INFLECTED.match(text, start + len(written)):
        return None
    if value["kanji"]:
        parts = _kanji_parts(plain(written), strong, known)
    elif value["kana"]:
        parts = _kana_parts(unicodedata.normalize("NFKC", written), strong, known)
    else:
        parts = latin_parts(written, known) or (
            (latin(written), "") if strong and written[0].isupper() and not written.isupper() else None
        )
    return Mention(start, start + len(written), *parts) if parts else None


def _is_sure(mention: Mention, known: Lists) -> bool:
    """Behind a weak label and a space alone: both names, or a family name that is a usual one."""
    sure = mention.family in known.usual_families or mention.family in known.family_romans
    return sure or bool(mention.family and mention.given)


def _kana_parts(written: str, strong: bool, known: Lists) -> tuple[str, str] | None:
    if _SENTENCE_END.search(written):
        return None
    if parts := kana_parts(written, known):
        return parts
    unknown = len(written) > 3 or written >= "ァ"  # two or three hiragana are a name only where a list has them
    return (written, "") if strong and unknown and written not in nonames.KATAKANA_WORDS else None


def _kanji_parts(written: str, strong: bool, known: Lists) -> tuple[str, str] | None:
    if written in nonames.FAMOUS or written in _NOT_NAMES or written in nonames.COMPANIES:
        return None
    first, _, second = written.replace("・", " ").partition(" ")
    second = hiragana(second.strip())
    if second:
        return (first, second) if strong or first in known.families or second in known.givens else None
    return _split(first, strong, known) or _unknown(first, strong, known)


def _split(written: str, strong: bool, known: Lists) -> tuple[str, str] | None:
    for size in (4, 3, 2, 1):
        family, given = written[:size], hiragana(written[size:])
        if family not in known.families or (given and given not in known.givens):
            continue
        clear = family not in nonames.PLACES or family in known.usual_families
        alone = strong or (family in nonames.SINGLE_FAMILIES if size == 1 else clear)
        if given or alone:
            return family, given
    return None


def _unknown(written: str, strong: bool, known: Lists) -> tuple[str, str] | None:
    """Something that no list has whole: behind a strong label, or begun by a known family name."""
    if _ORGANISATION.search(written) or written in nonames.NOUNS or written in nonames.PLACES:
        return None
    if written in known.givens and (len(written) > 1 or (strong and written in nonames.SINGLE_GIVENS)):
        return "", written
    begun = any(written[:size] in known.families for size in (2, 3)) and 3 <= len(written) <= 5
    return (written, "") if begun or (strong and 2 <= len(written) <= 6) else None


def kana_parts(written: str, known: Lists) -> tuple[str, str] | None:
    """The family and the given name of kana in one piece or in two; of a foreign name in its own order."""
    words = hiragana(written).replace("・", " ").replace("=", " ").split(" ")
    if len(words) > 1:
        if words[0] in known.families and words[1] in known.givens:
            return words[0], words[1]
        return (words[-1], words[0]) if words[0] in known.givens and words[-1] in known.families else None
    for size in range(2, len(words[0]) - 1):
        if words[0][:size] in known.families and words[0][size:] in known.givens:
            return words[0][:size], words[0][size:]
    if words[0] in known.families and len(words[0]) > 2:
        return words[0], ""
    return ("", words[0]) if words[0] in known.givens and len(words[0]) > 1 else None


def latin_parts(written: str, known: Lists) -> tuple[str, str] | None:
    words = [latin(word) for word in re.split(r"[ ,._-]+", written) if word]
    if len(words) == 2:
        for family, given in (words, words[::-1]):
            if family in known.family_romans and given in known.given_romans:
                return family, given
            if family in known.family_romans and len(given) == 1 and len(family) > 3:
                return family, ""
        return None
    if len(words) == 1 and len(words[0]) > 3 and words[0] in known.family_romans:
        return words[0], ""
    if len(words) == 3 and words[0] in known.given_romans and words[2] in known.family_romans:
        return words[2], words[0]
    return None
