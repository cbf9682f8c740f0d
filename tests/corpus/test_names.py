"""Names of persons, found by what stands around them."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from so8t.corpus import names, nonames, pii
from so8t.corpus.findings import folded
from so8t.corpus.mentions import Mention
from so8t.corpus.namelists import lists, plain
from so8t.corpus.namepairs import ROLE_ENDS
from tests.corpus import piisentences

NAMES = pii.kinds(("name",))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (
            "お世話になっております。株式会社サンプルの田中です。",
            "お世話になっております。株式会社サンプルの〔人名1〕です。",
        ),
        ("営業部の佐藤様にお伝えください。", "営業部の〔人名1〕様にお伝えください。"),
        ("氏名：山田　太郎　フリガナ：ヤマダ　タロウ", "氏名：〔人名1〕　フリガナ：〔人名1〕"),
        ("担当者: 鈴木、高橋", "担当者: 〔人名1〕、〔人名2〕"),
        ("山田太郎は来週出張です。", "〔人名1〕は来週出張です。"),
        (
            "参加者：田中、佐藤部長、鈴木（営業）、高橋さん",
            "参加者：〔人名1〕、〔人名2〕部長、〔人名3〕（営業）、〔人名4〕さん",
        ),
        (
            "田中: 了解です\n12:30 佐藤「はい」\n田中: では",
            "〔人名1〕: 了解です\n12:30 〔人名2〕「はい」\n〔人名1〕: では",
        ),
        ("髙橋美咲と申します。高橋さん？", "〔人名1〕と申します。〔人名1〕さん？"),
        (
            "Taro Yamada / YAMADA Taro / Yamada-san / Mr. Tanaka",
            "〔人名1〕 / 〔人名1〕 / 〔人名1〕-san / Mr. 〔人名2〕",
        ),
        ("Satoさん、Satohさん、佐藤さん", "〔人名1〕さん、〔人名1〕さん、〔人名1〕さん"),
        ("やまだ はなこ様、さとうさん", "〔人名1〕様、〔人名2〕さん"),
        ("小鳥遊さんに連絡。一ノ瀬課長", "〔人名1〕さんに連絡。〔人名2〕課長"),
        ("ジョン・スミスさんとマイケルさん", "〔人名1〕さんと〔人名2〕さん"),
        ("営業部田中部長と課長の山口が出席", "営業部〔人名1〕部長と課長の〔人名2〕が出席"),
        ("美咲ちゃん、翔くん、健太君", "〔人名1〕ちゃん、〔人名2〕くん、〔人名3〕君"),
        ("千葉さんと石川様、福島部長", "〔人名1〕さんと〔人名2〕様、〔人名3〕部長"),
        ("山田 花子（やまだ はなこ）", "〔人名1〕（〔人名1〕）"),
        ("佐藤健と佐藤太郎と佐藤さん", "〔人名1〕と〔人名2〕と〔人名1〕さん"),
        (
            "田中さんから連絡、陳さんかな？ ロバートさんから",
            "〔人名1〕さんから連絡、〔人名2〕さんかな？ 〔人名3〕さんから",
        ),
        ("本件の担当は遠藤と宮本です", "本件の担当は〔人名1〕と〔人名2〕です"),
        ("フリガナ ﾀﾅｶ ﾊﾅｺ\n記入者　竹田", "フリガナ 〔人名1〕\n記入者　〔人名2〕"),
        ("1．岩田\n2．菅野", "1．〔人名1〕\n2．〔人名2〕"),
        ("内田　資料の説明をします。\n→菊地が確認する", "〔人名1〕　資料の説明をします。\n→〔人名2〕が確認する"),
        ("私は岡部です。俺の名前は剛", "私は〔人名1〕です。俺の名前は〔人名2〕"),
        ("あやねえちゃんとスタッフのさやかです", "〔人名1〕ねえちゃんとスタッフの〔人名2〕です"),
        ("被告大河内は、原告塚本の", "被告〔人名1〕は、原告〔人名2〕の"),
        ("父の勲と長男 翔、奥さんの監事の増田から", "父の〔人名1〕と長男 〔人名2〕、奥さんの監事の〔人名3〕から"),
        ("木村っす。森山アナウンサー、松田んとこ", "〔人名1〕っす。〔人名2〕アナウンサー、〔人名3〕んとこ"),
        ("ミキ：今どこ？\n<suzuki> おつ", "〔人名1〕：今どこ？\n<〔人名2〕> おつ"),
    ],
)
def test_a_name_gives_way_to_a_number(text: str, cleaned: str) -> None:
    assert pii.remove(text, NAMES)[0] == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "徳川家康と織田信長、夏目漱石の『坊っちゃん』、野比のび太",
        "主人公の山田太郎、作家の佐藤花子",
        "山口県と千葉市、石川町、福島駅、田中町の山田川",
        "株式会社田中製作所、山田電機、松本商店、高橋クリニック、内田洋行",
        "お客様、皆様、神様、奥さん、お母さん、みなさん、たくさん、本屋さん、看護師さん",
        "スタッフさん、ユーザー様、メーカーさん",
        "担当者: 未定、担当: 営業部、氏名（必須）",
        "関係者各位、本部長、営業課長、人事部長",
        "コンタクト、マイク、アイコン、サトウキビ",
        "東京です。入口です。大石を動かす。千葉は晴れ。",
        "New York City, Google Cloud, Sample Inc",
        "対応：見直す。名前はありません。--username=USERNAME データベースのユーザー名",
        "サザエさん、桃太郎と金太郎、吉野家の牛丼",
        "1. 東京 2. 大阪\n福岡　売上が増えた。\n記入者　記入日",
        "さんぽ、さんか、店長のおすすめ、教授会、監事会",
    ],
)
def test_what_only_looks_like_a_name_stays(text: str) -> None:
    assert pii.remove(text, NAMES) == (text, {})


def test_a_second_pass_finds_nothing() -> None:
    once, _ = pii.remove("氏名：山田太郎、田中部長、佐藤さん、担当：鈴木、高橋", NAMES)
    assert pii.remove(once, NAMES) == (once, {})


def plain_way(text: str) -> Iterator[Mention]:
    """Of every place in a run, the long way: nothing is known of a run beforehand, and no place passed over."""
    for run in names._RUN.finditer(text):
        place, stop = run.span()
        start = place
        while start < stop:
            segment, inside = plain(text[start:stop]), start > place
            allowed = not inside or text[start - 1] in ROLE_ENDS or names._PREFIXES.fullmatch(text, place, start)
            famous = any(segment[:size] in nonames.FAMOUS for size in (3, 4, 5, 6))
            sizes = [size for size in (4, 3, 2, 1) if len(segment) >= size]
            words = [segment[:size] for size in sizes if segment[:size] in lists().families]
            families = tuple(word for word in words if names._may_be_family(word, inside))
            here = names._Start(start - place, segment, families, False)
            mention = names._at(text, place, stop, here, lists()) if allowed and not famous else None
            if mention:
                yield mention
            start = mention.end if mention else start + 1


def test_a_run_that_is_passed_over_holds_no_name() -> None:
    made = [folded(line["text"]) for line in piisentences.lines(300)]
    pieces = [
        "小鳥遊",
        "青葉",
        "翔",
        "様",
        "さん",
        "妻の",
        "担当",
        "山田",
        "太郎",
        "、",
        " ",
        "・",
        "氏",
        "くん",
        "大木",
    ]
    mixed = ["".join(random.Random(seed).choices(pieces, k=2 + seed % 6)) for seed in range(300)]
    for text in (*made, *mixed):
        assert list(names.in_kanji(text)) == list(plain_way(text))


def test_a_long_list_of_names_takes_time_that_grows_with_it() -> None:
    """Where each name was joined to all that stand behind it, this took a quarter of a minute."""
    begun = time.process_time()
    found = pii.remove("田中、" * 3_000 + "あねえさん" * 3_000, NAMES)[1]

    assert (found, time.process_time() - begun < 5) == ({"name": 3_000}, True)
