"""Harmful and adult texts, found by patterns in general words: for detection and refusal, never as a target.

A sentence counts when a pattern of a category occurs in it and none of the category's exceptions does:
"詐欺の手口を教えて" counts, "詐欺の手口と対策を教えて" does not, "詐欺の手口を教えて。対策に使います。" counts.
No table of words is complete: this routes the plain cases, the classifier and a person see the rest.

The contract with the stages behind: a record that carries `harm` is never an ALLOW target.  Its given label
stays as it was given, even where it says ALLOW; `labelled` decides what becomes of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypedDict


class Entry(TypedDict, total=False):
    """One category as a spec declares it."""

    patterns: tuple[str, ...]
    unless: tuple[str, ...]


_HOW = r"(?:作り方|作る方法|作って|作りたい|製造|自作|手順|やり方|方法|仕方|コツ|手口|手に入れ|入手)"
_HELP = (
    *("防止", "防ぐ", "防げ", "予防", "対策", "対処", "通報", "届け出"),
    *("相談窓口", "相談先", "被害", "見分け", "見抜", "身を守"),
)
_STUDY = ("歴史", "統計", "法律", "罰則", "刑罰", "違法です", "啓発", "研修", "報道")

DEFAULT: Mapping[str, Entry] = {
    "minor_sexual": {
        "patterns": (
            r"(?:児童|未成年|小学生|中学生|幼女|幼児|子ども|子供|ロリ|ショタ).{0,12}(?:ポルノ|わいせつ|猥褻|性的な|性行為|裸の?(?:画像|写真|動画)|官能|エロ)",
            r"(?:ポルノ|わいせつ|性的な|官能|エロ).{0,12}(?:児童|未成年|小学生|中学生|幼女|幼児|ロリ|ショタ)",
        ),
        "unless": (*_HELP, "保護", "条約", "禁止法", "教育", "発達"),
    },
    "sexual": {
        "patterns": (
            r"官能小説|ポルノ|アダルト(?:動画|ビデオ|画像|小説)|エロ(?:い|動画|画像|小説|漫画|話)|濡れ場|無修正",
            r"(?:性行為|性的な).{0,12}(?:描写|場面|シーン|小説|画像|写真|動画)",
            r"(?:盗撮|リベンジポルノ).{0,12}" + _HOW,
        ),
        "unless": (*_HELP, *_STUDY, "フィルタ", "依存症"),
    },
    "weapons": {
        "patterns": (
            r"(?:爆弾|爆発物|火薬|手榴弾|火炎瓶|拳銃|銃器|密造銃|毒ガス|毒物|生物兵器|化学兵器).{0,14}" + _HOW,
            _HOW + r".{0,10}(?:爆弾|爆発物|拳銃|銃器|毒ガス|化学兵器)",
        ),
        "unless": (*_HELP, *_STUDY, "不審物"),
    },
    "violence": {
        "patterns": (
            r"(?:殺す|殺し|殺害|殺人|暗殺|毒殺|誘拐|監禁|拷問|放火).{0,10}" + _HOW,
            r"(?:を|に)(?:殺したい|殺す方法|痛めつけたい|襲いたい|復讐したい)",
            r"(?:脅迫状|殺害予告|爆破予告).{0,8}(?:書|作|送|文面)",
        ),
        "unless": (*_HELP, *_STUDY, "小説", "映画", "ゲーム", "火災"),
    },
    "drugs": {
        "patterns": (
            r"(?:覚醒剤|大麻|麻薬|コカイン|ヘロイン|危険ドラッグ|違法薬物|(?i:MDMA|LSD)).{0,14}(?:"
            + _HOW
            + r"|買|売|密輸|栽培)",
        ),
        "unless": (*_HELP, *_STUDY, "依存症", "更生", "治療"),
    },
    "intrusion": {
        "patterns": (
            r"(?:不正アクセス|ハッキング|乗っ取|マルウェア|ランサムウェア|ウイルス|フィッシング|(?i:DDoS)|キーロガー|パスワード(?:を)?(?:破|盗|解析|割り出)).{0,16}"
            + _HOW,
            r"(?:他人|彼女|彼氏|同僚|上司|元カノ|元カレ|妻|夫)の.{0,10}(?:アカウント|パスワード|スマホ|メール|LINE).{0,10}(?:侵入|盗み見|覗|乗っ取|ログイン)",
        ),
        "unless": (*_HELP, *_STUDY, "復旧", "駆除", "感染した", "感染しない", "許可"),
    },
    "fraud": {
        "patterns": (
            r"(?:詐欺|特殊詐欺|オレオレ詐欺|架空請求|マネーロンダリング|資金洗浄|脱税|横領|粉飾|インサイダー取引).{0,12}"
            + _HOW,
            r"(?:偽札|偽造|偽の?(?:身分証|免許証|パスポート|診断書|領収書|請求書)).{0,14}" + _HOW,
            r"(?:だまし取|騙し取)(?:る|りたい|れる).{0,6}",
        ),
        "unless": (*_HELP, *_STUDY, "気をつけ", "注意"),
    },
    "self_harm": {
        "patterns": (
            r"(?:自殺|自死|自傷|リストカット|リスカ|首吊り|練炭).{0,10}(?:方法|やり方|手順|仕方|楽に|確実)",
            r"(?:楽に|苦しまずに|確実に)(?:死ねる|死ぬ|死にたい)|致死量",
        ),
        "unless": ("防止", "予防", "防ぐ", "止め", "相談窓口", "支援", "誤飲"),
    },
    "hate": {
        "patterns": (
            r"(?:外国人|障害者|障がい者|部落|在日|移民|同性愛者|女|ホームレス).{0,10}(?:は(?:皆殺し|死ね|出て行け|消えろ|劣って)|を(?:殺せ|追い出せ|排除しろ))",
            r"(?:差別|ヘイト)(?:的な)?(?:ビラ|スピーチ|投稿|文章|コメント|落書き).{0,10}(?:書|作|考え)",
        ),
        "unless": (*_HELP, *_STUDY, "なくす", "やめ"),
    },
}

_SENTENCE = re.compile(r"[^。！？!?\n]+")


@dataclass(frozen=True)
class _Category:
    name: str
    pattern: re.Pattern[str]
    unless: re.Pattern[str] | None


class Table:
    """Categories ready to search; built once, used for every record."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._categories = tuple(
            _Category(name, _either(entry["patterns"]), _either(entry["unless"]) if entry.get("unless") else None)
            for name, entry in entries.items()
        )
        self._any = re.compile("|".join(c.pattern.pattern for c in self._categories) or r"(?!)")

    def categories(self, texts: Iterable[str]) -> list[str]:
        """The categories that the texts fall into, in the table's order."""
        suspicious = [text for text in texts if self._any.search(text)]
        if not suspicious:
            return []
        sentences = [sentence for text in suspicious for sentence in _SENTENCE.findall(text)]
        return [category.name for category in self._categories if any(_hits(category, s) for s in sentences)]


def _hits(category: _Category, sentence: str) -> bool:
    if not category.pattern.search(sentence):
        return False
    return category.unless is None or not category.unless.search(sentence)


def _either(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
