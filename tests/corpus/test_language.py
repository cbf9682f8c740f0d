from __future__ import annotations

from so8t.corpus.language import Share, is_plain, measure


def test_shares_are_of_letters_only() -> None:
    assert measure("日本語です。123 😀！") == Share(letters=5, japanese=1.0, kana=0.4)


def test_mixed_english_counts_against_japanese() -> None:
    assert measure("Pythonで書く") == Share(letters=9, japanese=3 / 9, kana=2 / 3)


def test_text_without_letters_has_no_share() -> None:
    assert measure("12:30 😀…") == Share(letters=0, japanese=0.0, kana=0.0)


def test_chinese_has_no_kana() -> None:
    assert measure("我们需要确认这个合同的内容") == Share(letters=13, japanese=1.0, kana=0.0)


def test_half_width_katakana_and_long_marks_are_japanese() -> None:
    assert measure("ｻｰﾊﾞｰサーバー").japanese == 1.0


def test_a_text_whose_kana_suffice_needs_no_second_look() -> None:
    assert is_plain("これは申請書です", 0.5, 0.3)
    assert not is_plain("申請書です", 0.5, 0.3)  # two of five: only the kanji make it Japanese
    assert not is_plain("", 0.0, 0.0)
