"""Personal data and secrets in free text, replaced by fixed placeholders and counted by kind.

Every kind is a pattern, cheap looks that let most texts pass without it, and a check: the digits of a My Number,
Luhn and issuer of a card, an address that `ipaddress` accepts, the length and prefix of a telephone number.
A number that fails its check stays: dates, prices, order numbers, versions and corporate numbers (which are public).
Matching runs on a copy of the same length in which full-width ASCII and all dashes are folded, so it does not
depend on the text having been normalised.  Names of persons take more than patterns: see `names`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, NamedTuple

from stdnum import luhn
from stdnum.jp import in_ as my_number

from so8t.corpus import births, credentials, papers
from so8t.corpus.findings import Check, Kind, Span, compiled, digits_of, folded, has_digit, left_of, look

if TYPE_CHECKING:
    from so8t.corpus.persons import Persons

# --- addresses of machines and mail ----------------------------------------------------------------------------

_MAIL = compiled(
    r"""
    (?<![\w.%+-]) [\w.%+-]+ (?:@|[ ]@[ ]|[★☆◎●]|\s?(?:[(\[](?:at|a|アット(?:マーク)?)[)\]]|アットマーク)\s?)
    (?:[A-Za-z0-9ぁ-んァ-ヶー一-龠][A-Za-z0-9ぁ-んァ-ヶー一-龠-]{0,62}(?:\.|\s?[(\[](?:dot|ドット)[)\]]\s?))+
    (?: (?!(?i:txt|png|jpe?g|gif|pdf|csv|docx?|xlsx?|zip)\b)[A-Za-z]{2,24} (?![A-Za-z0-9-]) | みんな | コム )
    """
)
_IP = compiled(
    r"""
    (?<![\w.]) (?: (?:\d{1,3}\.){3}\d{1,3} (?!\.?\d)(?!\w)
                 | (?<!::)(?<![0-9A-Fa-f]:)
                   (?=[0-9A-Fa-f:]*\d) (?:[0-9A-Fa-f]{0,4}:){2,7} (?:(?:\d{1,3}\.){3}\d{1,3}|[0-9A-Fa-f]{0,4}) (?![\w:])
                 )
    """
)
_VERSION = re.compile(
    r"(?:\bv|\bver\.?|\bversion|\brev\.?|\bbuild|バージョン|ヴァージョン|セクション|ビルド"
    r"|リビジョン|版|第|項番|章|節)[\s:は=]*$",
    re.IGNORECASE,
)


def _is_ip(match: re.Match[str]) -> bool:
    """Not a version or a section number, and somebody's: loopback and the unspecified address are nobody's."""
    try:
        address = ipaddress.ip_address(match[0])
    except ValueError:
        return False
    if address.is_loopback or address.is_unspecified:
        return False
    return not _VERSION.search(left_of(match))


# --- numbers ---------------------------------------------------------------------------------------------------

_CARD = compiled(
    r"""
    (?<![\w.])(?<!\d[-ー]) (?:
        (?:\d{4}){4} | 3[47]\d{13} | 3[0689]\d{12} | 62\d{17}
      | (?<!\d[ ])
        (?: \d{4}(?:[-ー ・.]{1,2}\d{4}){3} | 3[47]\d\d([-ー ])\d{6}\1\d{5} | 3[0689]\d\d([-ー ])\d{6}\2\d{4} )
    ) (?!\d)
    """
)
_ISSUERS = re.compile(r"4|5[1-5]|2[2-7]|35|3[0689]|3[47]|6[0245]")
_MY_NUMBER = compiled(
    r"""
    (?<![\w.])(?<!\d[-ー]) (?:
        \d{12}(?![-ー]?\d) | (?<!\d[ ])\d{4}([-ー ])\d{4}\1\d{4}(?!\d)(?![-ー]\d)(?!\s?[年月円人個件回版期])
    ) | (?:マイナンバー|個人番号)[^\d。]{0,8}(?P<value>\d(?:[-ー ・.]{0,2}\d){11})(?!\d)
    """
)
_PHONE = compiled(
    r"""
    (?<![\w.+])(?<!\d[-ー]) (?:
        (?:\((?=0\d{1,4}\)))?(?P<trunk>0\d{1,4})(?:\)[-ー ]?|[-ー ]\(|[-ー .(])
          (?P<middle>\d{1,4})(?:\)[-ー ]?|[-ー .)])(?P<end>\d{3,4})
      | (?:\(?\+81\)?|(?:00|010-?|(?=81-[5-9]0-))81(?=[-ー ]))
        [-ー ]?(?:\(0\)|0)?[-ー ]?(?P<abroad>\(?[1-9]\d{0,3}\)?[-ー ]?\d{1,4}[-ー ]?\d{3,4})
      | (?P<mobile>0[5-9]0(?:[ ]?[-ー〜~・./][ ]?|[ ])\d{4}(?:[ ]?[-ー〜~・./][ ]?|[ ])?\d{4})
      | (?P<joined>0\d{1,4}[-ー ]\d{5,8})
      | (?P<bare>0\d{9,10})
    ) (?!\d)(?![-ー]\d)
    """
)
_MOBILE = re.compile(r"0[5-9]0")
_NOT_PERSONAL = re.compile(
    r"(?:注文|社員|職員|学籍|受注|発注|受付|伝票|管理|会員|商品|製造|整理|予約|追跡|問い?合わ?せ"
    r"|請求書|見積|シリアル|口座|法人|登録)"
    r"(?:番号|コード|No\.?|ID)[^\d。、]{0,6}$"
    r"|(?:注文|伝票|シリアル|order|serial)\s?(?:ID|No\.?|number|#)[^\d。、]{0,4}$",
    re.IGNORECASE,
)
_MODEL = re.compile(r"(?:型番|型式|品番|図番|図面番号|部品番号|製品番号|部品|JAN)[^\d。、]{0,4}$", re.IGNORECASE)
_PHONE_WORD = re.compile(
    r"(?:電話|でんわ|携帯|TEL|FAX|ファックス|ファクス|連絡先|ダイヤル|phone)[^\d。]{0,8}$", re.IGNORECASE
)


def _is_card(match: re.Match[str]) -> bool:
    digits = digits_of(match[0])
    return bool(_ISSUERS.match(digits)) and luhn.is_valid(digits) and not _NOT_PERSONAL.search(left_of(match))


def _is_my_number(match: re.Match[str]) -> bool:
    digits = digits_of(match["value"] or match[0])
    return my_number.is_valid(digits) and digits.strip("0") != "" and not _NOT_PERSONAL.search(left_of(match))


def _is_phone(public: tuple[str, ...]) -> Check:
    def check(match: re.Match[str]) -> bool:
        if match["abroad"]:
            return len(digits_of(match["abroad"])) in (9, 10)
        digits = digits_of(match[0])
        mobile = bool(_MOBILE.match(digits)) and len(digits) == 11
        if digits.startswith(public) or not (mobile or (len(digits) == 10 and digits[1] != "0")):
            return False
        if _MODEL.search(left_of(match)):
            return False
        if match["bare"] or match["joined"]:  # no dash says what it is: a landline needs a word that does
            before = left_of(match)
            return bool(_PHONE_WORD.search(before)) or (mobile and not _NOT_PERSONAL.search(before))
        return True

    return check


# --- postal addresses ------------------------------------------------------------------------------------------

_PREFECTURE = (
    r"(?:北海道|東京都|(?:大阪|京都)府|(?:青森|岩手|宮城|秋田|山形|福島|茨城|栃木|群馬|埼玉|千葉"
    r"|神奈川|新潟|富山|石川|福井|山梨|長野"
    r"|岐阜|静岡|愛知|三重|滋賀|兵庫|奈良|和歌山|鳥取|島根|岡山|広島|山口|徳島|香川|愛媛|高知|福岡"
    r"|佐賀|長崎|熊本|大分|宮崎|鹿児島|沖縄)県)"
)
_K = "[一二三四五六七八九十百〇]"
_N = rf"(?:\d{{1,5}}|{_K}{{1,5}})"
_CITY = r"(?:[一-龠々ぁ-んァ-ヶー]{1,7}?[市区町村郡]\s?){1,3}"
_KNOWN_CITY = r"(?:[一-龠々ァ-ヶ]{1,6}?|さいたま|つくば|いわき)[市区町村郡]"
# A town may be written in hiragana (みなとみらい), but a particle ends it; 霞が関 and 自由が丘 hold none.
_TOWN = rf"(?:が(?=[丘関谷台浜崎])|(?![はがをでに])[一-龠々ぁ-んァ-ヶー]){{0,20}}?(?:{_N}条[東西南北]?)?\s?"
_LOT = (
    rf"(?:{_N}丁目[\s,]?(?:{_N}(?:番地?)?(?:[-ーの]?{_N})?(?:号|番)?)?(?:[-ー]\d{{1,5}})?"
    rf"|{_N}番地(?:の?{_N})?(?:号|番)?|{_N}番[-ー]?{_N}号|\d{{1,5}}(?:[-ー]\d{{1,5}}){{2,3}}(?:号室|号)?"
    rf"|{_N}(?:[のノ]{_N}){{2,3}}(?:号室|号)?)"
)
# Two numbers are a lot only behind a prefecture or a city's ward, and not when they count something.
_COUNTED = (
    r"(?!\s?(?:時|日|月|年|人|名|個|円|回|件|分|倍|歳|才|代|台|本|枚|位|点|対|で(?!す)|万|千|億|割"
    r"|度|棟|社|店|週|泊|[%℃°ヶカか階軒]|LDK|k?m|ミリ|センチ"
    r"|キロ|メートル|パーセント))"
)
_WEAK_LOT = rf"[一-龠々ァ-ヶーの]{{0,16}}?\s?\d{{1,5}}[-ーの]\d{{1,5}}(?![-ーの\d])(?:号|番)?{_COUNTED}"
_WARD = r"[一-龠々]{2,6}?市[一-龠々]{1,4}?区"
_WARD_LOT = rf"[一-龠々ァ-ヶー]{{2,16}}?\d{{1,5}}[-ー]\d{{1,5}}(?![-ー\d])(?:号|番)?{_COUNTED}(?![A-Za-z一-龠ァ-ヶ])"
_KINDS_OF_HOUSE = "(?:ビル|マンション|アパート|ハイツ|コーポ|メゾン|ハウス|レジデンス|パレス|荘|寮|団地|タワー|棟)"
_HOUSE = rf"{_KINDS_OF_HOUSE}(?:[^\s、。,()（）「」]{{0,10}}?\s?\d{{1,4}}(?:号室?|階|F)|[A-Za-z]?\s?(?:\d{{1,4}})?)"
_ROOM = rf"(?:[\s、]?[^\s、。,()（）「」]{{0,20}}?(?:\d{{1,4}}号室?|\d{{1,3}}階|{_HOUSE}))?"
_NUMBERS = rf"(?:{_LOT}|\d{{1,5}}(?:番地?|号)?(?:[-ーの]\d{{1,4}}){{0,3}}(?!\d)(?![年月円人個件回%]))"
_LABELLED = (
    r"(?:(?:現|新|旧|本人)?住所|所在地|(?:お?届け?|送付|配送|発送|送り|転居|引っ?越し)先(?:住所)?"
    r"|本籍地?|居住地|自宅|実家)[)）\]】]?\s?(?:[:=|]|は)\s?"
    rf"(?P<value_labelled>(?:〒?\s?\d{{3}}-?\d{{4}}\s?)?[一-龠々ァ-ヶ][一-龠々ぁ-んァ-ヶー ]{{1,30}}?\s?{_NUMBERS}"
)
_NAMED_LOT = (
    rf"{_PREFECTURE}\s?{_CITY}[一-龠々ァ-ヶー]{{0,12}}(?:大字|字|町|村)"
    rf"[一-龠々ぁ-んァ-ヶー]{{0,10}}\d{{1,5}}(?:番地?)?(?![\d-]){_COUNTED}"
)
_ENGLISH = (
    r"(?:\d{1,4}-){1,3}\d{1,4},?\s[A-Z][A-Za-z-]+(?:,?\s[A-Z][A-Za-z-]+){0,3},?\s(?:[A-Z]"
    r"[a-z]+-(?:ku|shi|cho|machi|gun)|Tokyo|Osaka|Kyoto|Japan)"
    r"(?:,?\s(?:[A-Z][a-z]+(?:-(?:ken|fu|to|shi))?|\d{3}-\d{4}|Japan)){0,4}"
)
_ADDRESS = re.compile(
    rf"(?:〒?\s?\d{{3}}[-ー]\d{{4}}\s{{0,2}})?(?:{_PREFECTURE}\s?{_CITY}(?:{_TOWN}{_LOT}|{_WEAK_LOT})|{_NAMED_LOT}"
    rf"|{_KNOWN_CITY}{_TOWN}{_LOT}|{_WARD}{_WARD_LOT}){_ROOM}"
    rf"|〒\s?\d{{3}}[-ー ]?\d{{4}}(?!\d)|郵便番号[はがを:\s]{{0,3}}(?P<value>\d{{3}}[-ー ]?\d{{4}})(?!\d)"
    rf"|{_LABELLED}{_ROOM})|{_ENGLISH}",
    re.ASCII,
)
# What no address is without: a place and, not far behind it, a digit or a lot in kanji; or a number before English.
_KANJI_LOT = rf"{_K}(?:丁目|番地|番[-ー]?{_K}|[のノ]{_K}{{1,5}}[のノ]{_K})"
_PLACE_AND_LOT = (
    r"(?:[市区町村郡〒]|郵便番号|(?:住所|所在地|先|本籍地?|居住地|自宅|実家)[)）\]】]?\s?[:=|は])"
    rf"[\s\S]{{0,60}}?(?:\d|{_KANJI_LOT})|\d,?\s[A-Z]"
)


# --- the table -------------------------------------------------------------------------------------------------

NAME = "name"
KINDS = (
    *("internal", "secret", "email", "ip", "card", "passport", "residence_card", "driving_licence", "pension"),
    *("health_insurance", "bank_account", "my_number", "plate", "coordinates", "address", "phone", NAME, "birth_date"),
)
_FOUR_DIGITS = look(r"\d[-ー() .・]{0,2}\d[-ー() .・]{0,2}\d[-ー() .・]{0,2}\d")
_ANYTHING = re.compile("")
_PLACEHOLDER = re.compile("〔[^〔〕]{2,8}〕")


class Table(NamedTuple):
    """Kinds in the order in which they must run, longer and surer ones first; names between `first` and `last`."""

    first: tuple[Kind, ...]
    names: bool
    last: tuple[Kind, ...]


def kinds(names: Iterable[str], public_phones: tuple[str, ...] = (), internal: tuple[str, ...] = ()) -> Table:
    """The kinds by name; `internal` are the patterns of that kind."""
    wanted = frozenset(names)
    rows = (
        *(_internal(pattern) for pattern in internal),
        *credentials.table(),
        Kind("email", "〔メール〕", look(r"[@★☆◎●]|[(\[](?:at?|アット)|アットマーク"), _MAIL, digits=False),
        Kind("ip", "〔IPアドレス〕", look(r"\d\.\d|:[0-9A-Fa-f]{0,4}:"), _IP, _is_ip),
        Kind("card", "〔カード番号〕", _FOUR_DIGITS, _CARD, _is_card, _digits(14)),
        *papers.table(wanted),
        Kind("my_number", "〔マイナンバー〕", _FOUR_DIGITS, _MY_NUMBER, _is_my_number, _digits(12)),
        Kind(
            "address",
            "〔住所〕",
            look(rf"〒|丁目|番|住所|所在地|先|本籍|自宅|実家|[町村字]|\d[-ー]\d|{_N}[のノ]{_N}"),
            _ADDRESS,
            needs=look(_PLACE_AND_LOT),
            digits=False,
        ),
        Kind("phone", "〔電話番号〕", look(r"0\d|\+81|81-"), _PHONE, _is_phone(public_phones)),
    )
    last = (births.kind(),) if "birth_date" in wanted else ()
    return Table(tuple(kind for kind in rows if kind.name in wanted), NAME in wanted, last)


def _digits(count: int) -> re.Pattern[str]:
    """So many of them in a row, or with little between them."""
    return look(rf"(?:\d[-ー ・.]{{0,2}}){{{count - 1}}}\d")


def _internal(pattern: str) -> Kind:
    return Kind("internal", "〔社内番号〕", _ANYTHING, re.compile(pattern), _is_something, digits=False)


def _is_something(match: re.Match[str]) -> bool:
    return match.end() > match.start()


def placeholders(table: Table) -> dict[str, str]:
    """Placeholder -> kind; that of names has N for the number of a person."""
    rows = {kind.placeholder: kind.name for kind in (*table.first, *table.last)}
    return {**rows, "〔人名N〕": NAME} if table.names else rows


def persons(table: Table, beside: str = "") -> Persons | None:
    """Nobody yet, to be shared by texts that belong together; who has a number in `beside` is somebody else."""
    return _rules_of_names()[1](beside) if table.names else None


def remove(text: str, table: Table, who: Persons | None = None) -> tuple[str, dict[str, int]]:
    """The text with a placeholder for every finding, and how many there were of each kind.

    A kind runs until it finds nothing: the end of one number can hide the start of the next.
    Texts that share `who` call the same person by the same number.
    """
    return replaced(text, folded(text), table, who)


def replaced(text: str, form: str, table: Table, who: Persons | None = None) -> tuple[str, dict[str, int]]:
    """The same; rules read `form`, and what they find there gives way in `text`, which is as long."""
    found: dict[str, int] = {}
    digits = has_digit(form)  # no placeholder of the first kinds has one
    for kind in table.first:
        if (digits or not kind.digits) and kind.hint.search(form):  # here, too: a call costs as much as a look
            text, form = _without(kind, text, form, found)
    if table.names:
        text, form = _without_names(text, form, found, who)
    for kind in table.last:
        text, form = _without(kind, text, form, found)
    return text, found


def _without(kind: Kind, text: str, form: str, found: dict[str, int]) -> tuple[str, str]:
    while kind.may_be_in(form) and (spans := [span for span in kind.spans(form) if _is_new(form, *span)]):
        placeholders = [kind.placeholder] * len(spans)
        text, form = _spliced(text, form, spans, placeholders)
        found[kind.name] = found.get(kind.name, 0) + len(spans)
    return text, form


def _is_new(form: str, start: int, end: int) -> bool:
    """Something that is not a placeholder already, so that every turn of the loop takes something away."""
    inside = form.rfind("〔", 0, start + 1) > form.rfind("〕", 0, start)
    return not inside and _PLACEHOLDER.sub("", form[start:end]) != ""


def _without_names(text: str, form: str, found: dict[str, int], who: Persons | None) -> tuple[str, str]:
    names, nobody = _rules_of_names()
    mentions = names.find(form)
    if not mentions:
        return text, form
    spans = [(mention.start, mention.end) for mention in mentions]
    placeholders = list(map((who or nobody()).placeholder, mentions))
    found[NAME] = len(mentions)
    return _spliced(text, form, spans, placeholders)


@lru_cache(maxsize=1)
def _rules_of_names() -> tuple[ModuleType, type[Persons]]:
    """Imported where names are wanted, for they bring long lists."""
    from so8t.corpus import names
    from so8t.corpus.persons import Persons

    return names, Persons


def _spliced(text: str, form: str, spans: list[Span], placeholders: list[str]) -> tuple[str, str]:
    """Both, and once if nothing was folded."""
    changed = _splice(text, spans, placeholders)
    return changed, changed if form is text else _splice(form, spans, placeholders)


def _splice(text: str, spans: list[Span], placeholders: list[str]) -> str:
    pieces: list[str] = []
    end = 0
    for (start, stop), placeholder in zip(spans, placeholders, strict=True):
        pieces += text[end:start], placeholder
        end = stop
    return "".join([*pieces, text[end:]])
