from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.corpus.normalise import normalise

MIXED = st.text(
    alphabet=st.one_of(
        st.sampled_from(
            "ｶﾞﾊﾟｰかがカガー々神①㈱㊙ℹ…™²½㎡´゛￣～〜！？（）　 \t\r\n\u200b\u200d\ufe0f\ufe0e\u202e\U000e0041"
        ),
        st.sampled_from("👩🔬🏳🌈🏴❤🔥1⃣\U000e0067\U000e007f\U000e0100葛"),
        st.characters(exclude_categories=("Cs",)),
    )
)


@pytest.mark.parametrize(
    ("raw", "stored"),
    [
        ("ﾊﾟｿｺﾝとｶﾞｽﾒｰﾀｰ", "パソコンとガスメーター"),
        ("ＡＢＣ１２３＠ｅｘａｍｐｌｅ．ｃｏｍ", "ABC123@example.com"),
        ("㈱サンプル、㍻元年、２５℃", "(株)サンプル、平成元年、25°C"),
        ("１０～２０個", "10〜20個"),
        ("⼀⽇", "一日"),
        ("か\u3099く", "がく"),
        ("一行目\r\n二行目\r三行目\u2028四行目", "一行目\n二行目\n三行目\n四行目"),
        ("　字下げ　です。　　\n次の行 \t\n", "字下げ です。\n次の行"),
        ("あ\u200bい\ufeffう\u00adえ\x00お\u202eか\u2066き", "あいうえおかき"),
    ],
)
def test_text_takes_its_stored_form(raw: str, stored: str) -> None:
    assert normalise(raw) == stored


@pytest.mark.parametrize(
    "text",
    [
        "えっ…‥本当‼⁉",
        "①1個②2個",
        "10²は100、1½杯、10㎡、H₂O",
        "SO8T™",
        "(´・ω・`)と（￣▽￣）と゛",
        "神田さんと福山さん",
        "本当ですか？はい！（笑）",
        "サーバー〜データ",
        "    インデント".strip() + "\n    つづき",
    ],
)
def test_what_nfkc_would_ruin_is_protected(text: str) -> None:
    assert normalise(text) == text


@pytest.mark.parametrize(
    "emoji",
    [
        "👩‍🔬",
        "👨‍👩‍👧‍👦",
        "❤️‍🔥",
        "🏳️‍🌈",
        "1️⃣",
        "👍🏽",
        "☺︎",
        "㊙️",
        "ℹ️",
        "🈁",
        "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        "葛\U000e0100城",
    ],
)
def test_emoji_sequences_and_variants_stay_intact(emoji: str) -> None:
    assert normalise(f"あ{emoji}い") == f"あ{emoji}い"


def test_hidden_text_in_tags_and_selectors_is_removed() -> None:
    assert normalise("無害\U000e0069\U000e0067\U000e006eです") == "無害です"
    assert normalise("👍\ufe0f\ufe01\ufe02です") == "👍\ufe0fです"
    assert normalise("あ\u200dい") == "あい"


def test_full_width_marks_are_a_choice_of_the_spec() -> None:
    assert normalise("本当？（はい！）", keep="") == "本当?(はい!)"


@settings(max_examples=200, derandomize=True, deadline=None)
@given(MIXED)
def test_normalising_twice_changes_nothing(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
