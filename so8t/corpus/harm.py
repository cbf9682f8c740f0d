"""Harmful and adult texts, found by patterns in general words: for detection and refusal, never as a target.

A sentence counts when a pattern of a category occurs in it and none of the category's exceptions does:
"詐欺の手口を教えて" counts, "詐欺の手口と対策を教えて" does not, "詐欺の手口を教えて。対策に使います。" counts.
No table of words is complete: this routes the plain cases, and a second voice may be asked about the other sentences:
what it suspects is the category `suspected`.

The contract with the stages behind: a record that carries `harm` is never an ALLOW target.  Its given label
stays as it was given, even where it says ALLOW; `labelled` decides what becomes of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypedDict

from so8t.corpus.beginnings import leaping
from so8t.corpus.suspect import scoring

SUSPECTED = "suspected"


class Entry(TypedDict, total=False):
    """One category as a spec declares it."""

    patterns: tuple[str, ...]
    unless: tuple[str, ...]


# A word of making or getting may stand somewhat apart from what is made; a way of doing stands right behind the deed:
# else "ウイルスの被害から端末を守る方法" would ask for viruses.
_MAKE = (
    r"(?:作り方|作る|作って|作りた|つくり方|つくる|つくりた|製造|密造|自作|合成|組み立て方|手に入れ|入手"
    r"|買い方|買いた|買え|買う方法)"
)
_WAY = (
    r"(?:の|を|する|をする|を行う|をやる)?(?:具体的な|詳しい|簡単な|確実な|うまい)?"
    r"(?:やり方|方法|手順|仕方|コツ|手口|ノウハウ|には)"
)
_WANT = rf"(?:{_WAY}|を?し(?:たい|て(?:みたい|稼|もうけ|儲け)))"
_HELP = (
    *("防止", "防ぐ", "防げ", "予防", "対処", "届け出", "検知", "削除"),
    *("相談窓口", "相談先", "身を守", "守れ?る(?:方法|やり方|手順|コツ|ポイント|には)", "守りた", "保護(?:する|し|の)"),
    # not where the help is what the asker means to escape
    r"対策(?!を?(?:回避|すり抜け|突破|かいくぐ|無効|逃れ|破))",
    r"通報(?!され(?:な|ず|ぬ|たくな))",
    r"見分け(?!られ(?:な|ず)|がつかな)",
    r"見抜(?!かれ(?:な|ず|に))",
    r"被害(?!者を)",
)
_STUDY = (
    *("歴史", "統計", "刑罰", "違法です", "啓発", "研修", "報道", "ニュース", "規制"),
    r"法律(?!に触れ|の抜け|を(?:逃れ|かいくぐ|破))",
    r"罰則(?!を(?:逃れ|避))",
)
_CHILD = r"(?:児童|未成年|小学生|中学生|高校生|幼女|幼児|ロリ|ショタ)"
_PAPER = r"(?:身分証|免許証?|パスポート|診断書|領収書|請求書|証明書|在留カード|卒業証書|紙幣|印鑑)"
_WHOSE = r"(?:他人|彼女|彼氏|同僚|上司|元カノ|元カレ|妻|夫)"

# Words of adult texts, wherever they stand; those that doctors and history books use, too, are left out.
_ADULT = (
    *("セックス(?!レス)", "せっくす", "アナル(?:セックス|拡張|開発|プラグ)", "フェラチオ", "クンニ", "パイズリ"),
    *("イラマチオ", "オナニー", "オナホ", "ザーメン", "(?:口内|顔面)射精", "顔射", "(?<!を)中出し", "手コキ", "足コキ"),
    *("ハメ撮り", "喘ぎ声", "アヘ顔", "おまんこ", "(?<!パ)チンコ", "(?<!ぱ)ちんこ", "チンポ(?!ジ)", "ちんぽ"),
    *("巨乳", "爆乳", "痴女", "淫乱", "ヤリマン", "ヤリチン", "乱交", "輪姦", "獣姦", "近親相姦", "寝取られ"),
    *("スカトロ", "媚薬", "セフレ", "援助交際", "援交", "ブルセラ", "AV女優", "デリヘル", "デリバリーヘルス"),
    *("ソープ(?:嬢|ランド)", "ピンサロ", "イメクラ", "風俗(?:嬢|店)", "裏ビデオ", "ヘアヌード", "ダッチワイフ"),
    *("ラブドール", "(?<![ァ-ヺー])エロ(?:ゲー?|アニメ|本|同人|画)(?![ァ-ヺー])"),
    "(?<![ァ-ヺー])レイプ(?:もの|動画|プレイ)",
)
_CARE = (
    *("性教育", "避妊", "婦人科", "感染症", "医師", "受診", "治療", "カウンセリング", "事件", "逮捕", "裁判", "条例"),
    *("取り締まり", "断る", "断り方", "やめさせ", "支援"),
)

DEFAULT: Mapping[str, Entry] = {
    "minor_sexual": {
        "patterns": (
            rf"(?:{_CHILD}|子ども|子供).{{0,12}}(?:ポルノ|わいせつ|猥褻|性的な|性行為|裸の?(?:画像|写真|動画)|官能|エロ|エッチ|セックス|淫行)",
            rf"(?:ポルノ|わいせつ|性的な|官能|エロ).{{0,12}}{_CHILD}",
        ),
        "unless": (*_HELP, "保護", "条約", "禁止法", "教育", "発達"),
    },
    "sexual": {
        "patterns": (
            r"官能小説|ポルノ|アダルト(?:動画|ビデオ|画像|小説)|エロ(?:い|動画|画像|小説|漫画|話)|濡れ場.{0,8}(?:書|描|読)",
            r"無修正の?(?:動画|画像|写真|ビデオ|(?i:AV))",
            r"(?:性行為|性的な).{0,12}(?:描写|場面|シーン|小説|画像|写真|動画)",
            rf"盗撮{_WANT}",
        ),
        "unless": (*_HELP, *_STUDY, "フィルタ", "依存症"),
    },
    "adult": {"patterns": _ADULT, "unless": (*_HELP, *_STUDY, *_CARE, "フィルタ", "依存症")},
    "weapons": {
        "patterns": (
            rf"(?:爆弾(?!低気圧|おにぎり|ハンバーグ|発言)|爆薬|爆発物|火薬|手榴弾|火炎瓶|拳銃|銃器|密造銃|銃を|毒ガス|サリン|神経ガス|毒物|毒薬|生物兵器|化学兵器).{{0,14}}{_MAKE}",
            rf"(?:爆弾|爆発物|火炎瓶|毒ガス|生物兵器|化学兵器)(?:を(?:使う|仕掛ける|爆発させる))?{_WAY}",
            rf"{_MAKE}.{{0,10}}(?:爆弾|爆発物|拳銃|銃器|毒ガス|化学兵器)",
        ),
        "unless": (*_HELP, *_STUDY, "不審物", "処理", "処分"),
    },
    "violence": {
        "patterns": (
            rf"(?:殺す|殺し|殺害|殺人|暗殺|毒殺|誘拐|監禁|拷問|放火){_WAY}",
            r"(?:を|に)(?:殺したい|痛めつけたい|襲いたい|復讐(?:したい|する方法))",
            r"(?:人|誰か|さん|上司|同僚|あいつ|彼|彼女|夫|妻)を(?:刺したい|刺す方法|殴りたい|殴る方法)",
            r"(?:脅迫(?:状|文|メール)|殺害予告|爆破予告).{0,8}(?:書(?!か|き込)|作|送(?!ら)|文面)",
        ),
        "unless": (
            *(*_HELP, *_STUDY, "小説", "映画", "ゲーム", "火災"),
            "(?:虫|菌|ゴキブリ|蚊|ダニ|ハエ|ハチ|蜂|ネズミ|シロアリ|カビ|雑草|ウイルス|息|感情)を?殺",
        ),
    },
    "drugs": {
        "patterns": (
            r"(?:覚醒剤|覚せい剤|大麻|麻薬|コカイン|ヘロイン|シャブ|危険ドラッグ|違法薬物|(?i:MDMA|LSD))"
            rf"(?:{_WAY}|.{{0,14}}(?:{_MAKE}|買|売|密輸|栽培))",
        ),
        "unless": (*_HELP, *_STUDY, "依存症", "更生", "治療", "施用", "医療用", "処方"),
    },
    "intrusion": {
        "patterns": (
            rf"(?:不正アクセス|不正ログイン|ハッキング|クラッキング|乗っ取り|(?i:DDoS)(?:攻撃)?){_WANT}",
            r"乗っ取(?:る(?:方法|やり方|手順|コツ|には)|りたい|って)",
            r"パスワードを?(?:破る|盗む|盗みた|解析する|解読する|割り出す|割り出し)",
            r"(?:マルウェア|ランサムウェア|キーロガー|スパイウェア|ウイルス(?!対策|ワクチン|検査|性)|フィッシング(?:サイト|メール|ページ))"
            r".{0,14}(?:作り方|作る|作って|作りた|自作|開発し|ばらま|感染させ|仕込|仕掛け|送りつけ|送りた)",
            rf"(?:マルウェア|ランサムウェア|キーロガー|フィッシング(?:サイト|メール|ページ|詐欺)){_WAY}",
            r"フィッシングメールの?(?:文面|文章|本文)",
            rf"{_WHOSE}の.{{0,10}}(?:アカウント|パスワード|スマホ|メール|LINE).{{0,10}}(?:侵入|盗み見|覗|乗っ取|ログイン(?!でき(?:な|ず)))",
            r"(?:サーバー?|システム|ネットワーク)[にへ](?:不正に|こっそり)?侵入(?:する|した[いく]|して|方法)",
            rf"(?:盗聴器?|隠しカメラ)を?.{{0,6}}(?:仕掛け|しかけ|取り付け)(?:る|た[いく]|て)|盗聴{_WANT}|ストーカー(?:行為)?{_WANT}",
        ),
        "unless": (*_HELP, *_STUDY, "復旧", "駆除", "感染した", "感染しない", "許可"),
    },
    "fraud": {
        "patterns": (
            rf"(?:詐欺|架空請求|マネーロンダリング|マネロン|資金洗浄|脱税|横領|粉飾決算|粉飾|インサイダー取引){_WANT}",
            r"(?:詐欺|架空請求)の?(?:台本|文面|シナリオ|原稿|メール)を?.{0,4}(?:作|書|考え)",
            rf"偽札.{{0,10}}{_MAKE}|{_PAPER}[をの]?偽造{_WANT}|偽造(?:品|書類)?{_WAY}",
            rf"(?:偽の?|ニセの?){_PAPER}.{{0,10}}(?:{_MAKE}|用意し|作成)",
            r"(?:だまし取|騙し取)(?:る|りたい|れる)|(?:だまして|騙して|欺いて).{0,6}(?:金|財産|カード|口座|契約)",
        ),
        "unless": (*_HELP, *_STUDY, "気をつけ", "注意"),
    },
    "self_harm": {
        "patterns": (
            r"(?:自殺|自死|自傷|リストカット|リスカ|首吊り|首つり|練炭自殺)(?:の|する)?(?:簡単な|確実な|楽な)?(?:方法|やり方|手順|仕方)",
            r"(?:自殺|自死|首吊り|首つり|練炭).{0,10}(?:楽に|確実)",
            r"(?:楽に|苦しまずに|確実に)(?:死ねる|死ぬ|死にたい)|致死量",
        ),
        "unless": ("防止", "予防", "防ぐ", "止め", "相談窓口", "支援", "誤飲", "実験", "毒性"),
    },
    "hate": {
        "patterns": (
            r"(?:外国人|障害者|障がい者|部落|在日|移民|同性愛者|女|ホームレス).{0,10}(?:は(?:皆殺し|死ね|出て行け|消えろ|劣って)|を(?:殺せ|追い出せ|排除しろ))",
            r"(?:差別|ヘイト)(?:的な|する)?(?:ビラ|スピーチ|投稿|文章|コメント|落書き).{0,10}(?:書(?!か)|作|考え)",
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
    """Categories ready to search; built once, used for every record.

    `suspect` is the probability from which a sentence without a category is suspected; None asks no second voice.
    """

    def __init__(self, entries: Mapping[str, Entry], suspect: float | None = None) -> None:
        self._suspect = suspect
        self._categories = tuple(
            _Category(name, _either(entry["patterns"]), _either(entry["unless"]) if entry.get("unless") else None)
            for name, entry in entries.items()
        )
        self._any = leaping(re.compile("|".join(c.pattern.pattern for c in self._categories) or r"(?!)"))

    def categories(self, texts: Iterable[str]) -> list[str]:
        """The categories that the texts fall into, in the table's order."""
        searched = tuple(texts)
        return self._named(searched) or ([SUSPECTED] if self._is_suspected(searched) else [])

    def _named(self, texts: Iterable[str]) -> list[str]:
        suspicious = [text for text in texts if self._any.search(text)]
        if not suspicious:
            return []
        sentences = [sentence for text in suspicious for sentence in _SENTENCE.findall(text)]
        return [category.name for category in self._categories if any(_hits(category, s) for s in sentences)]

    def _is_suspected(self, texts: Iterable[str]) -> bool:
        least = self._suspect
        return least is not None and any(
            scoring.probability(sentence) >= least for text in texts for sentence in _SENTENCE.findall(text)
        )


def _hits(category: _Category, sentence: str) -> bool:
    if not category.pattern.search(sentence):
        return False
    return category.unless is None or not category.unless.search(sentence)


def _either(patterns: Iterable[str]) -> re.Pattern[str]:
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns))
