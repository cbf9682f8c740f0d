"""Family and given names in kanji, kana and Latin letters, from a package that brings them, and words that are none."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

KANJI = "一-鿿々〆ヶヵ\uf900-\ufaff"
_VARIANTS = str.maketrans(
    "髙﨑邊邉齋齊濱濵澤廣國櫻冨嶋嶌眞惠瀨德桒檜曾條龍靜榮實髮槇萬",
    "高崎辺辺斎斉浜浜沢広国桜富島島真恵瀬徳桑桧曽条竜静栄実髪槙万",
)
_VARIANT = re.compile("[髙﨑邊邉齋齊濱濵澤廣國櫻冨嶋嶌眞惠瀨德桒檜曾條龍靜榮實髮槇萬]")
_HIRAGANA = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}
_LONG = re.compile(r"(?<=[aiueo])-|ou|oo|uu|oh(?![aiueoy])|m(?=[bmp])")
_SPELLED = re.compile(r"sh(?=[auoe])|shi|ch(?=[auoe])|chi|tsu|fu|j(?=[auoe])|ji")
_LONG_TO = {"ou": "o", "oo": "o", "uu": "u", "oh": "o", "m": "n", "-": ""}
_SPELLED_TO = {"sh": "sy", "shi": "si", "ch": "ty", "chi": "ti", "tsu": "tu", "fu": "hu", "j": "zy", "ji": "zi"}


class Lists(NamedTuple):
    """A name as written -> how it is read, in Latin letters of one spelling."""

    families: dict[str, tuple[str, ...]]
    givens: dict[str, tuple[str, ...]]
    family_romans: frozenset[str]
    given_romans: frozenset[str]
    family_firsts: frozenset[str]
    family_lasts: frozenset[str]
    usual_families: frozenset[str]
    given_firsts: frozenset[str]
    given_lasts: frozenset[str]


@lru_cache(maxsize=1)
def lists() -> Lists:
    from japanese_personal_name_dataset import load_dataset

    men, women, surnames = load_dataset("org", True)
    families: dict[str, tuple[str, ...]] = {}
    for writing, entry in surnames.items():
        _enter(families, entry["en"], (writing, entry["reading"]))
    givens: dict[str, tuple[str, ...]] = {}
    for names in (men, women):
        for reading, one in names.items():
            _enter(givens, one["en"], (reading, *one["kanji"]))
    for foreign, table in ((FOREIGN_FAMILIES, families), (FOREIGN_GIVENS, givens)):
        for kana, roman in foreign.items():
            _enter(table, roman, (hiragana(kana),))
    return Lists(
        families,
        givens,
        frozenset(roman for romans in families.values() for roman in romans),
        frozenset(roman for romans in givens.values() for roman in romans),
        _usual(form[0] for form in surnames if len(form) > 1),
        _usual(form[-1] for form in surnames if len(form) > 1),
        frozenset(form for form, entry in surnames.items() if entry["count"] >= 30_000 and len(form) > 1),
        _usual((form[0] for form in givens if len(form) > 1), 40),
        _usual((form[-1] for form in givens if len(form) > 1), 100),
    )


def _enter(table: dict[str, tuple[str, ...]], roman: str, forms: Iterable[str]) -> None:
    read = latin(roman)
    for form in forms:
        usual = plain(form) if _VARIANT.search(form) else form
        table[usual] = (*table.get(usual, ()), read)


def _usual(characters: Iterable[str], least: int = 3) -> frozenset[str]:
    return frozenset(character for character, count in Counter(characters).items() if count >= least)


def plain(writing: str) -> str:
    """Old and rare forms of a character in the common one: 髙橋 is 高橋."""
    return writing.translate(_VARIANTS)


def hiragana(kana: str) -> str:
    return kana.translate(_HIRAGANA)


def latin(roman: str) -> str:
    """Every spelling of a name in one: Sato, Satoh, SATOU; Oono, Ohno; Shinji, Sinzi."""
    short = _LONG.sub(lambda match: _LONG_TO[match[0]], roman.lower())
    return _SPELLED.sub(lambda match: _SPELLED_TO[match[0]], short)


def _pairs(text: str) -> dict[str, str]:
    return dict(pair.split("/") for pair in text.split())


FOREIGN_GIVENS = _pairs(
    "ジョン/john ジェームズ/james ロバート/robert マイケル/michael ウィリアム/william "
    "デイビッド/david デビッド/david リチャード/richard "
    "トーマス/thomas チャールズ/charles ダニエル/daniel マシュー/matthew アンソニー/anthony "
    "マーク/mark ポール/paul スティーブン/steven "
    "アンドリュー/andrew ケビン/kevin ブライアン/brian ジョージ/george エドワード/edward "
    "ピーター/peter ヘンリー/henry アレックス/alex "
    "アダム/adam クリス/chris ベン/ben サム/sam トム/tom ボブ/bob ジャック/jack ルーカス/lucas "
    "メアリー/mary エマ/emma リサ/lisa サラ/sarah "
    "ジェニファー/jennifer リンダ/linda エリザベス/elizabeth スーザン/susan ナンシー/nancy "
    "マーガレット/margaret エミリー/emily "
    "アンナ/anna アンナ/anna ソフィア/sophia オリビア/olivia ローラ/laura ジュリア/julia "
    "ケイト/kate アリス/alice マリア/maria カルロス/carlos "
    "ホセ/jose ルイス/luis ミゲル/miguel ペドロ/pedro ヴァン/van ティ/thi アン/anh ミン/minh "
    "フン/hung ラン/lan リン/linh ナム/nam"
)
FOREIGN_FAMILIES = _pairs(
    "スミス/smith ジョンソン/johnson ウィリアムズ/williams ブラウン/brown ジョーンズ/jones "
    "ミラー/miller デイビス/davis "
    "ウィルソン/wilson アンダーソン/anderson テイラー/taylor ムーア/moore マーティン/martin "
    "リー/lee トンプソン/thompson "
    "ホワイト/white ハリス/harris クラーク/clark ルイス/lewis ロビンソン/robinson "
    "ウォーカー/walker ヤング/young グリーン/green "
    "ベイカー/baker ガルシア/garcia ロドリゲス/rodriguez マルティネス/martinez ロペス/lopez "
    "シルバ/silva サントス/santos "
    "グエン/nguyen トラン/tran チャン/tran レ/le ファム/pham キム/kim パク/park チェ/choi "
    "ワン/wang リュウ/liu チェン/chen ヤン/yang "
    "シュミット/schmidt ミュラー/muller カーン/khan シン/singh クマール/kumar"
)
