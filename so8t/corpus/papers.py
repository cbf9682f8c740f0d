"""Numbers of papers and accounts, plates and coordinates, by the formats that their issuers document.

A number that many things could have (a passport's, an account's) counts only behind the word that says what it is.
Formats: passports and their machine-readable lines by ICAO 9303, residence cards and driving licences by the
Immigration Services Agency and the National Police Agency, pension numbers 4-6, insurers' numbers of 6 or 8 digits,
accounts of 7 digits and those of Japan Post Bank (記号 of 5, 番号 of up to 8), IBAN with its check, plates by the
ordinance on registration.
"""

from __future__ import annotations

import re

from stdnum import iban

from so8t.corpus.findings import Kind, compiled, left_of, look

_GAP = r"[^\d]{0,40}?"
_MARK = r"(?:番号|No\.?|NO\.?|no\.?|ナンバー|ID|\#)?"
_IS = r"[\"']?\s*(?:[（(][^（()）\n]{0,12}[)）])?\s*(?:は|が|[:=|]|→|;)?\s*(?:第|No\.?|[「『\"'])?\s*"
_NOT_A_NUMBER_OF = re.compile(
    r"(?:型番|型式|品番|図番|製品|商品|部品|注文|伝票|シリアル|追跡|管理|ロット|製造)(?:番号"
    r"|コード|No\.?)?[^\d。、]{0,4}$"
)

# --- papers of persons -----------------------------------------------------------------------------------------

PASSPORT = compiled(
    rf"""
    (?:パスポート|旅券|(?i:passport)){_GAP}
      (?<![A-Za-z0-9])(?P<value>[A-Za-z]{{1,2}}[ -]?\d{{7}}|[A-Za-z]\d{{8}}|\d{{9}})(?![A-Za-z0-9])
    | P[A-Z<][A-Z]{{3}}[A-Z<]{{39}}(?:\s[A-Z0-9<]{{9}}\d[A-Z<]{{3}}\d{{7}}[MFX<]\d{{7}}[A-Z0-9<]{{14}}[0-9<]\d)?
    | (?<![A-Z0-9<])[A-Z0-9<]{{9}}\d[A-Z<]{{3}}\d{{7}}[MFX<]\d{{7}}[A-Z0-9<]{{14}}[0-9<]\d(?![A-Z0-9<])
    | (?<![A-Za-z0-9])(?:T[A-Z]|M[A-Z]|N[A-Z]|X[A-Z])\d{{7}}(?=[^\d\n]{0, 12}(?:パスポート|旅券))
    """
)
RESIDENCE_CARD = compiled(r"(?<![A-Za-z0-9_-])[A-Z]{2}[ -]?\d{8}[ -]?[A-Z]{2}(?![A-Za-z0-9_-])")
LICENCE = compiled(
    rf"(?<![A-Za-z\d-])(?P<value_first>\d{{12}})(?=[^\d\n]{{0,12}}免許)|(?:免許証?|(?i:driver'?s?[ "
    rf"]licen[cs]e)){_GAP}(?<![\d-])(?P<value>\d{{2}}[ -]?\d{{2}}[ -]?\d{{6}}[ -]?\d{{2}}|\d{{4}}[ "
    rf"-]?\d{{4}}[ -]?\d{{4}})(?![\d])"
)
PENSION = compiled(rf"年金{_GAP}(?<![\d-])(?P<value>\d{{4}}[ ・-]?\d{{6}})(?![\d-])")
_LETTERS = "[ぁ-んァ-ヶ一-龠A-Za-z0-9]{0,6}"
HEALTH = compiled(
    rf"""
    保険者番号{_IS}(?P<value_insurer>\d{{8}}|\d{{6}}|\d{{2}}[ -]?\d{{2}}[ -]?\d{{3}}[ -]?\d)(?!\d)
    | (?:被保険者証?|保険証|被保険者記号|健保|国保|資格確認書|健康保険)[^\n。]{{0,20}}?(?:記号)?(?:[・･/]番号)?{_IS}
      (?P<value_both>(?!の?記号){_LETTERS}[ -]?\d[\d-]{{0,9}}
        (?:(?:\s?[・･/、,]\s?|\s)?番号{_IS}|\s?[・･/、]\s?|[ ]|-)\d{{1,10}}
        (?:\s?[（(]?枝番[)）]?{_IS}\d{{1,2}})?)(?!\d)
    | (?<!口座)記号{_IS}(?P<value_pair>{_LETTERS}\d[\d-]{{0,9}}
        (?:\s?[・･/、,]\s?|\s)?番号{_IS}\d{{1,10}}
        (?:\s?枝番{_IS}\d{{1,2}})?)(?!\d)
    | (?:被保険者番号|被保険者証番号|保険証番号|保険証の番号|資格確認書の?番号|受給者番号
      |介護保険(?:被保険者証)?の?番号|保険証記号番号|後期高齢者医療{_GAP}番号){_IS}(?P<value>[A-Za-z]?\d[\d-]{{3,11}})(?!\d)
    """
)
# --- accounts --------------------------------------------------------------------------------------------------

BANK = compiled(
    rf"""
    (?:口座番号|口座[ ]?(?:No\.?|NO\.?|ナンバー|\#)|(?i:account[ ](?:number|no\.?|\#)|acct\.?))
      {_IS}(?P<value>\d(?:[ -]?\d){{4,7}})(?![\d-])
    | (?:普通|当座|貯蓄|総合|(?<![A-Za-z])(?:普|当)(?=\)))(?:預金|口座)?
      {_MARK}[)）\]】]?{_IS}(?P<value_kind>\d(?:[ -]?\d){{6}})(?![\d-]|\s?円)
    | 記号{_IS}(?P<value_post>[01]\d{{3}}0(?:-\d)?(?:\s?[・･/、,]\s?|\s)?
      (?:番号{_IS}|[- ])\d{{6,8}})(?!\d)
    | (?:口座|振込先|振り込み先|引き?落とし先|入金先)[^\n。]{{0,40}}?(?<![\d-])(?P<value_loose>\d{{7}})(?![\d-])(?!円)
    | (?<![A-Za-z0-9])(?P<value_iban>[A-Z]{{2}}\d{{2}}(?:[ ]?[A-Z0-9]{{4}}){{2,7}}(?:[ ]?[A-Z0-9]{{1,4}})?)
      (?![A-Za-z0-9])
    """
)
# --- plates and places -------------------------------------------------------------------------------------------

_OFFICES = (
    r"札幌|函館|旭川|室蘭|苫小牧|釧路|知床|帯広|北見|青森|弘前|八戸|岩手|盛岡|平泉|宮城|仙台|秋田"
    r"|山形|庄内|福島|会津|郡山|白河|いわき|水戸|土浦|つくば|宇都宮|那須|とちぎ|日光|群馬|前橋"
    r"|高崎|大宮|川口|所沢|川越|熊谷|春日部|越谷"
    r"|千葉|成田|習志野|市川|船橋|袖ヶ浦|市原|野田|柏|松戸|品川|世田谷|練馬|杉並|板橋|足立|江東"
    r"|葛飾|江戸川|八王子|多摩|横浜|川崎|湘南|相模|山梨|富士山|新潟|長岡|上越|富山|石川|金沢|福井"
    r"|長野|松本|諏訪|南信州|安曇野|岐阜|飛騨|静岡|浜松|沼津|伊豆"
    r"|名古屋|豊橋|三河|岡崎|豊田|尾張小牧|一宮|春日井|三重|鈴鹿|四日市|伊勢志摩|滋賀|京都|大阪"
    r"|なにわ|和泉|堺|神戸|姫路|奈良|飛鳥|和歌山|鳥取|島根|出雲|岡山|倉敷|広島|福山|下関|山口|徳島"
    r"|香川|高松|愛媛|高知|福岡|北九州|久留米|筑豊|佐賀|長崎|佐世保|熊本|大分|宮崎|鹿児島|奄美"
    r"|沖縄|宮古|八重山|十勝|日立|筑波"
)
PLATE = compiled(
    rf"(?:(?:{_OFFICES})\s?\d[0-9ACFHKLMPXY]{{0,2}}|[一-鿿]{{2,4}}\s?[1-9]\d[0-9ACFHKLMPXY]"
    rf"|(?:{_OFFICES}|[一-鿿]{{1,4}}[市区町村])(?=\s?[あ-ん]\s\d))(?:ナンバー(?:プレート)?(?:は|の"
    rf"|:)?)?\s?[「]?[あ-んA-Z][」]?\s?"
    rf"(?:\d{{2}}[-ー]\d{{2}}|[・･.]{{1,3}}\d{{1,3}}(?:-\d{{1,2}})?|[・･]?\d-\d\d|\d{{1,4}})"
    rf"(?![\d-])"
)
_DECIMAL = r"-?\d{1,3}\.\d{3,}"
_MINUTES = r"\s?\d{1,2}\s?['’′分]\s?(?:\d{1,2}(?:\.\d+)?\s?[\"”″秒]?\s?)?"
_ANGLE = rf"-?\d{{1,3}}(?:\.\d{{3,}}|\s?[°度]{_MINUTES})\s?[°度]?"
COORDINATES = compiled(
    rf"""
    (?:(?:北|南)緯|緯度|(?i:lat(?:itude)?)){_IS}(?P<value_place>{_ANGLE}[^\d\n。]{{0,16}}{_ANGLE})
    | (?<![\d.])\d{{1,2}}[°度]{_MINUTES}[NS]?[\s,、]{{0,3}}\d{{1,3}}[°度]{_MINUTES}[EW]?
    | (?<![\d.])(?P<value_pair>{_DECIMAL}°?\s?[NS]?\s?[,、/ ]\s?{_DECIMAL}°?\s?[EW]?)(?![\d.])
    | (?<=!3d)(?P<value_maps>-?\d{{1,2}}\.\d{{3,}}!4d-?\d{{1,3}}\.\d{{3,}})
    """
)


def table(wanted: frozenset[str]) -> tuple[Kind, ...]:
    """Those that are wanted, a licence before anything that could take its digits."""
    rows = (
        Kind(
            "passport",
            "〔旅券番号〕",
            look(r"(?i:passport)|パスポート|旅券|P[A-Z<][A-Z]{3}[A-Z<]{9}|<<"),
            PASSPORT,
            digits=False,
        ),
        Kind("residence_card", "〔在留カード番号〕", look(r"[A-Z][ -]?\d{8}"), RESIDENCE_CARD, _is_residence_card),
        Kind("driving_licence", "〔運転免許証番号〕", look("免許|(?i:licen[cs]e)"), LICENCE),
        Kind("pension", "〔年金番号〕", look("年金"), PENSION),
        Kind(
            "bank_account",
            "〔口座番号〕",
            look(r"口座|普通|当座|貯蓄|記号|振込|振り込|[普当]\)|引き?落|入金|(?i:acc)|[A-Z]{2}\d\d"),
            BANK,
            _is_account,
        ),
        Kind("health_insurance", "〔保険証番号〕", look("保険|記号|健保|国保|資格確認|受給者"), HEALTH),
        Kind("plate", "〔車両番号〕", look(r"\d\s?[あ-んA-Z]\s?[\d・･.]"), PLATE),
        Kind("coordinates", "〔座標〕", look(r"[緯°度]|\d\.\d{3}|(?i:lat)"), COORDINATES, _is_place),
    )
    return tuple(row for row in rows if row.name in wanted)


def _is_residence_card(match: re.Match[str]) -> bool:
    return not _NOT_A_NUMBER_OF.search(left_of(match))


def _is_account(match: re.Match[str]) -> bool:
    return match["value_iban"] is None or iban.is_valid(match["value_iban"])


def _is_place(match: re.Match[str]) -> bool:
    return all(abs(float(number)) <= 180 for number in re.findall(r"\d+\.\d{3,}", match[0]))
