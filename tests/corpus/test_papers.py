"""Numbers of papers and accounts, plates, coordinates and dates of birth, by their documented formats."""

from __future__ import annotations

import pytest

from so8t.corpus import pii

ALL = pii.kinds(pii.KINDS, ("0120",), (r"EMP-\d{5}", r"案件(?P<value>\d+)"))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        (
            "パスポート番号はTK1234567です。旅券番号：MU 7654321",
            "パスポート番号は〔旅券番号〕です。旅券番号：〔旅券番号〕",
        ),
        ("在留カード AB12345678CD を確認", "在留カード 〔在留カード番号〕 を確認"),
        ("運転免許証番号：第302012345670号", "運転免許証番号：第〔運転免許証番号〕号"),
        ("免許証の番号は6214 9832 0257", "免許証の番号は〔運転免許証番号〕"),
        ("基礎年金番号：1234-567890", "基礎年金番号：〔年金番号〕"),
        ("ゆうちょ銀行 記号12340 番号12345671", "ゆうちょ銀行 記号〔口座番号〕"),
        ("渋谷支店 普通 1234567 名義 ヤマダタロウ", "渋谷支店 普通 〔口座番号〕 名義 〔人名1〕"),
        ("GB82 WEST 1234 5698 7654 32", "〔口座番号〕"),
        (
            "保険証の記号12-34、番号567890、保険者番号：06123456",
            "保険証の記号〔保険証番号〕、保険者番号：〔保険証番号〕",
        ),
        ("品川 330 あ 12-34と横浜500さ・・12", "〔車両番号〕と〔車両番号〕"),
        ("山田太郎（1985年4月1日生まれ）", "〔人名1〕（〔生年月日〕生まれ）"),
        ("佐藤 健太様 男性、1990年1月1日", "〔人名1〕様 男性、〔生年月日〕"),
        ("生年月日：昭和60年4月1日、DOB: 1990/01/02", "生年月日：〔生年月日〕、DOB: 〔生年月日〕"),
        ("35.6812, 139.7671と北緯35度41分22秒 東経139度41分30秒", "〔座標〕と北緯〔座標〕"),
        ("EMP-12345の案件998877", "〔社内番号〕の案件〔社内番号〕"),
        ("住所：六本木6-10-1 森ビル3階", "住所：〔住所〕"),
        ("1-2-3 Shibuya, Shibuya-ku, Tokyo 150-0002", "〔住所〕"),
    ],
)
def test_a_number_of_a_person_gives_way(text: str, cleaned: str) -> None:
    assert pii.remove(text, ALL)[0] == cleaned


@pytest.mark.parametrize(
    "text",
    [
        "製品番号TK1234567、型番AB12345678CD、追跡番号RR123456789JP",
        "普通預金1234567円、当座1000000円",
        "北緯35度付近、震源は北緯35.7度、東経140.1度、1,234.567, 2,345.678",
        "徳川家康は1543年1月31日生まれ。会社の設立は1990年4月1日生まれの制度",
        "年金は月額123456円です。免許は18歳から",
        "GB82 WEST 1234 5698 7654 33",
        "2階300席、第330号",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert pii.remove(text, ALL) == (text, {})


@pytest.mark.parametrize("pattern", ["社内番号", r"\S+", ".", "〔.*〕"])
def test_a_pattern_that_matches_a_placeholder_comes_to_an_end(pattern: str) -> None:
    assert pii.remove("社内 EMP-1", pii.kinds(("internal",), (), (pattern,)))[0].count("〔〔") == 0


def test_a_licence_is_not_a_my_number() -> None:
    assert pii.remove("免許証番号621498320257", ALL)[1] == {"driving_licence": 1}
    assert pii.remove("個人番号621498320257", ALL)[1] == {"my_number": 1}
