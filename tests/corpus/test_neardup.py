from __future__ import annotations

from so8t.corpus.neardup import comparable, gram_sets, similarity


def test_width_case_spaces_and_marks_make_no_difference() -> None:
    assert comparable("ＡＰＩ の　使い方は？") == comparable("apiの使い方は") == "apiの使い方は"


def test_signs_that_carry_meaning_are_compared() -> None:
    assert comparable("1+1は？") != comparable("1-1は？")


def test_texts_shorter_than_an_ngram_are_compared_whole_and_empty_ones_are_alike() -> None:
    assert gram_sets(("はい", "有給休暇の残り", ""), 5) == (
        frozenset({"はい"}),
        frozenset({"有給休暇の", "給休暇の残", "休暇の残り"}),
        frozenset(),
    )
    assert similarity(gram_sets(("",), 5), gram_sets(("",), 5)) == 1.0
    assert similarity(gram_sets(("はい",), 5), gram_sets(("いえ",), 5)) == 0.0
