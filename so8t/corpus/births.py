"""Dates of birth: behind the words that say so, before 生まれ and 生, beside an age, and beside a name.

A date has its year; a month with its day is enough where 誕生日 or 生まれ says what it is, and a year with its month
where somebody was born in it.  A year alone is none.  A question and its answer may stand in two lines of one text,
not in two turns of a talk: each turn is a text of its own.
"""

from __future__ import annotations

import re

from so8t.corpus import nonames
from so8t.corpus.findings import Kind, compiled, look

# --- how dates are written, in a text that is folded -------------------------------------------------------------

_ERA = r"(?:明治|大正|昭和|平成|令和|[㍾㍽㍼㍻㋿]|[明大昭平令](?=\.?\s?[\d元])|(?<![A-Za-z])[MTSHR]\.?(?=\s?\d))"
_YEAR = rf"(?:(?:西暦\s?)?(?:1[89]|20)\d\d|{_ERA}\.?\s?(?:\d{{1,2}}|元))"
_TOLD_TWICE = r"(?:\s?年?\s?[（(][^（()）\n]{2,8}[)）])?"  # 1978年（昭和53年）
_BETWEEN = r"\s?[-/.・･]\s?"
_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]*\.?"
_KANJI = "[元一二三四五六七八九十〇零]"
_KANJI_DAY = rf"{_KANJI}{{1,2}}月{_KANJI}{{1,3}}日"
_KANJI_DATE = rf"(?:{_ERA}{_KANJI}{{1,3}}|[一二][八九〇零][〇零一二三四五六七八九]{{2}})年{_KANJI_DAY}"
_EIGHT = r"(?:1[89]|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])"
_DATE = (
    rf"(?<!\d)(?:{_YEAR}{_TOLD_TWICE}(?:\s?年\s?\d{{1,2}}\s?月\s?(?:\d{{1,2}}\s?日|(?=生))"
    rf"|年?(?:{_BETWEEN}\d{{1,2}}{_BETWEEN}\d{{1,2}}|\s?\d{{1,2}}月\d{{1,2}}日))"
    rf"|{_KANJI_DATE}|\d{{1,2}}[-/.]\d{{1,2}}[-/.](?:1[89]|20)\d\d|{_EIGHT}"
    rf"|(?i:{_MONTH}\s?\d{{1,2}}(?:st|nd|rd|th)?,?\s?(?:1[89]|20)\d\d|\d{{1,2}}[-\s./]?{_MONTH}[-\s./]?(?:1[89]|20)\d\d)"
    r")(?!\d)"
)
_DAY = (
    r"(?<!\d)(?<!\d[/.])(?<!年)"
    rf"(?:\d{{1,2}}\s?月\s?\d{{1,2}}\s?日|\d{{1,2}}/\d{{1,2}}|{_KANJI_DAY}|\d{{1,2}}がつ\d{{1,2}}にち)(?![\d/.])"
)
_SHORT = r"(?<![\d/.-])'?\d\d(?:年\d{1,2}月\d{1,2}日|[-/.]\d{1,2}[-/.]\d{1,2})(?!\d)"
_OF_A_FORM = (  # what only a word before it makes a date
    r"'?\d{2}\s{0,2}年\s{0,2}\d{1,2}\s{0,2}月\s{0,2}\d{1,2}\s{0,2}日|'?\d\d[-/.]\d{1,2}[-/.]\d{1,2}(?!\d)"
    rf"|{_YEAR}\s{{0,2}}年\s{{0,2}}\d{{1,2}}\s{{0,2}}月\s{{0,2}}\d{{1,2}}\s{{0,2}}日"
    r"|(?:1\s9|2\s0)\s\d\s\d\s?[年/.-]\s?\d\s?\d\s?[月/.-]\s?\d\s?\d(?:\s?日)?|(?:19|20)\d\d\s\d\d\s\d\d(?!\d)"
    r"|\d{1,2}[-.]\d{1,2}(?![\d.-])|(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])(?!\d)"
    r"|\{\s?[\"']?year[^{}\n]{4,60}\}"
)

# --- the words that say so ---------------------------------------------------------------------------------------

_PAPER = (
    r"(?:生\s?年\s?月\s?日|出生(?:年月)?日|せいねんがっぴ|セイネンガッピ"
    r"|(?<![A-Za-z])(?i:seinengappi|d\.?o\.?b(?![a-z])\.?))"
)
_LABEL = (
    rf"(?:{_PAPER}|誕生(?:年月)?日|たんじょうび|バースデー|生まれた(?:日|の)|お?[生産]まれ|(?<=[a-z])Birth(?:[Dd]ate|[Dd]ay)?(?![a-z])"
    r"|(?<![A-Za-z])(?i:date[ _]?of[ _]?birth|birth[ _-]?(?:date|day|ymd|dt)|birth|b-?day|born(?:[ ]on)?)(?![a-z]))"
)
_BOX = (  # 1.明治 2.大正 □昭和 ☑平成
    r"(?:[\s・･/、,|□☑☐✓■◯○()（）]|[1-9][.:]?(?=[明大昭平令西])|明治?|大正?|昭和?|平成?|令和?|西暦|和暦|[MTSHR](?![\d.]))"
)
_IS = (
    r"(?:[・/及と](?:年齢|性別|氏名|住所|血液型|続柄))?[\"'」』】\])）>◆■●★]{0,3}\s{0,3}(?:[（(][^（()）\n]{0,14}[)）])?"
    r"\s{0,3}"
    r"(?:=>|->|って|は(?:ね|ですね)?|が|OK|[:=|→⇒;、,/・…]{1,2})?、?\s{0,4}(?:たしか|確か|実は|今日|明日)?、?"
    r"(?:第|[「『【（(\"]|'(?!\d\d\D))?\s?"
)
_FAR = r"[をにがはの][^\d\n。、日締限]{0,10}?"
_ASKED = (
    r"(?:(?:誕生日|生年月日|生まれ)[^\n。]{0,8}(?:いつ|何日|何月|何年|教えて|お願い|聞か|伺|よろしい)|いつ(?:の)?生まれ)"
    r"[^\n]{0,12}[\n→](?:〔人名\d+〕|[^\d\n]){0,8}?"
)
_BORN = r"(?:(?:の?お?[生産]まれ|うまれ|生れ)(?!変|かわ|つき|故郷|て[初始は]))"
_WEEKDAY = r"(?:[（(][月火水木金土日][)）])?"
_FULL_STOP = r"(?=$|[^一-鿿ぁ-んァ-ヶー]|[のでだ男女])"  # behind 生, which begins many words
_KIN = r"(?:娘|息子|[長次三]男|[長次三]女|孫|子|赤ちゃん|弟|妹|姪|甥|双子)"
_WHERE = (
    r"(?:(?:午前|午後)?\d{1,2}時(?:\d{1,2}分|半)?)?(?:に|、|,)?\s?"
    r"(?:[一-鿿ァ-ヴー・]{1,12}(?:において|にて|で|に|として)?、?"
    rf"|[^。\n]{{0,14}}(?:っ子|[男女子])(?:として|に)|{_KIN}が"
    r"|、?[^。\n\d]{0,16}[にで]、?(?:(?:私|わたし|あなた)は)?)?"
)
_AGE = r"\s?[（(]?\s?(?:満|当時)?\s?\d{1,3}\s?[歳才](?!以上|未満|以下|から|まで|児|の部|時|で(?!す))"
_FEAST = r"(?!会|パーティ|プレゼント|ケーキ|クーポン|祝|旅行|特典|割|前|の[前次翌])"
_CAME = rf"(?:{_BORN}|出生|(?:ご|お)?誕生(?:し|いた|さ|な))"
_PARTY = rf"(?:誕生日{_FEAST}|誕生会|誕プレ|たんじょうび|バースデー|🎂)"
_SAID_OF = (  # no date of an event
    r"(?!\s?(?:まで|から|以降|締|必着|頃?に(?![な生産う])|の(?:予約|会|集|午[前後]|\d)|[、はに]?\s?\d{1,2}時"
    r"|[(（][^()（）\n]{0,3}[)）]\s?\d{1,2}[時:]))"
)
_CALLED = r"(?:さん|さま|様|氏|くん|君|ちゃん|先生)?"

BIRTH = compiled(
    rf"""
    (?=[生出誕おたい産うせセバ🎂〔\d'明大昭平令西㍾㍽㍼㍻㋿元一二三四五六七八九十A-Za-z]) (?:
      {_LABEL}{_IS}(?P<value>{_DATE}|{_OF_A_FORM}|{_DAY}(?!まで|から|以降|に(?![な生産う])))
    | {_BORN}(?:まし)?た[。!?♪☆\s]{{0,3}}(?P<value_news>{_DATE})
    | {_PAPER}{_BOX}*?(?P<value_boxed>{_DATE}|{_OF_A_FORM})
    | {_LABEL}{_IS}(?P<value_of_month>{_YEAR}\s?年\s?\d{{1,2}}月(?!\s?\d))
    | (?:{_PAPER}|誕生日){_FAR}(?P<value_far>{_DATE})(?!まで|付)
    | (?<!〔){_PAPER}[^\d\n日付限締切]{{0,24}}(?P<value_further>{_DATE})(?!まで|付)
    | {_PARTY}[^\d\n日限締]{{0,24}}(?P<value_party>{_DAY}|(?<!めでとうございます。){_DATE}){_SAID_OF}
    | {_PARTY}[^\n]{{0,100}}?(?:
        〔人名\d+〕{_CALLED}(?:\s?\d{{1,3}}[歳才])?[^\d\n。、/〔]{{0,3}}[（(:、,\s]?\s?(?P<value_guest>{_DATE}|{_DAY})(?=\s?(?:[)）、,・/\s。]|$))
      | (?P<value_host>{_DATE}|{_DAY})\s?[はが]?\s?〔人名\d+〕)
    | (?<![一-鿿ぁ-ん])生[ 　]{{1,3}}(?P<value_form>{_DATE})
    | {_ASKED}(?P<value_asked>{_DATE}|{_DAY})
    | (?P<value_born>{_DATE}|{_SHORT}){_WEEKDAY}\s?[)）]?\s?
      (?:日?{_BORN}|日?生{_FULL_STOP}|誕生(?:日{_FEAST}|(?!日))|出生)
    | (?P<value_where>{_DATE})(?={_WHERE}{_CAME}|[、,]?\s?[一-鿿]{{2,8}}出身)
    | (?P<value_month>{_YEAR}\s?年\s?\d{{1,2}}月)(?={_WHERE}{_BORN})
    | (?P<value_age>{_DATE})(?={_AGE}|\s?[（(]お?(?:誕生日|生年月日)[)）])
    | (?P<value_day>{_DAY}|(?<![\d/.])\d{{1,2}}\.\d{{1,2}}(?={_BORN}))
      (?=(?:が|は|って|、|に)?\s?(?:(?:(?:[^\d\n。、]|〔人名\d+〕|\d{{1,3}}[歳才]){{0,8}}[のが])?お?誕生日{_FEAST}
        |(?:{_KIN}が)?{_BORN})
        |で満?(?:\d{{1,3}}|[一二三四五六七八九]?十[一二三四五六七八九]?)[歳才]に)
    | 〔生年月日〕(?:では?なくて?|じゃなくて?|から|→|\s?[正誤旧新]\s?[:=])、?\s?(?P<value_right>{_DATE}|{_DAY})
    | 〔人名\d+〕\s?(?:[（(]〔人名\d+〕[)）])?\s?{_CALLED}\s?[（(,、/\s|;]\s?
      (?:(?:[男女](?:性|児)?|[MF])\s?[、,・/\s]\s?)?(?P<value_beside>{_DATE})(?=\s?(?:[)）、,・/\s]|$|生|[（(]\d{{1,3}}[歳才]))
    )
    """
)
_HINT = look(
    r"生\s?年|誕生|まれ|[生産]れ|出[生身]|[\d日)）]\s?日?生|バースデー|がっぴ|ガッピ|たんじょう|誕プレ|🎂|生[ 　]"
    r"|[\d十]\s?[歳才]|〔人名"
    r"|(?i:birth|d\.?o\.?b|born|b-?day|gappi)"
)
_ANY_DATE = look(  # each of these dates has one of them
    rf"\d\s{{0,2}}月|[\d元]\s?[-/.・･]\s?\d|\d{{4}}|\d\s\d\d\s\d|{_KANJI}月|がつ|(?i:{_MONTH}|year)"
)

# --- whose birth is everybody's ----------------------------------------------------------------------------------

_PUBLIC = re.compile(
    r"創立|設立|創業|開業|武将|将軍|(?<!製)作家|歴史|偉人|文豪|俳人|画家|元総理|首相|天皇|釈迦|キリスト|ミッキー|ドラえもん"
    r"|キティ|ナポレオン"
)
_THING = (
    r"(?:会社|法人|商品|製品|ブランド|サービス|菓子|店|社|街|町|市|校|国|曲|作品|映画|番組|サイト|アプリ"
    r"|キャラ(?:クター)?)"
)
_OF_A_THING = re.compile(rf"{_THING}(?:の(?=お?誕生)|[はがも]、?(?=[\d西明大昭平令]))")


_ON_PAPER = re.compile(_PAPER)  # of a firm nobody says so
_SIGNED = re.compile(
    r"(?:承認|確認|作成|更新|受付|記入|提出|署名|検印|処理|対応|返信|投稿|登録|起票)者?日?\s?[:=]?\s?$"
)


def kind() -> Kind:
    """After the names: a date beside one is that of a birth."""
    return Kind("birth_date", "〔生年月日〕", _HINT, BIRTH, _is_private, needs=_ANY_DATE, digits=False)


def _is_private(match: re.Match[str]) -> bool:
    """The birth of somebody in a history book, and of a firm, is not."""
    start, end = match.span()
    before, after = (re.split("[。\n]", part) for part in (match.string[:start], match.string[end : end + 24]))
    sentence = f"{before[-1]}{match[0]}{after[0]}"
    if match["value_beside"] and _SIGNED.search(before[-1]):
        return False
    public = (_PUBLIC.search(sentence) or _OF_A_THING.search(sentence)) and not _ON_PAPER.match(match[0])
    return not public and not any(name in sentence for name in nonames.FAMOUS)
