from __future__ import annotations

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.corpus import neardup
from so8t.corpus.neardup import Duplicate, Parts, Settings, comparable, find, gram_sets, similarity

A = "出張の交通費を申請したいのですが、領収書をなくしました。どのように手続きすればよいか教えてください。"
B = "出張の交通費を申請したいのですが、領収書をなくしました。どのように手続きすればよいか教えて下さい。"
C = "有給休暇の残り日数を確認する画面はどこにありますか。人事システムの使い方も知りたいです。"


DEFAULT = Settings()


def sift(rows: list[Parts], settings: Settings = DEFAULT) -> dict[int, Duplicate]:
    return find(range(len(rows)), lambda row: rows[row], settings)


def test_width_case_spaces_and_marks_make_no_difference() -> None:
    assert comparable("ＡＰＩ の　使い方は？") == comparable("apiの使い方は") == "apiの使い方は"


def test_signs_that_carry_meaning_are_compared() -> None:
    assert comparable("1+1は？") != comparable("1-1は？")


def test_the_earlier_row_wins() -> None:
    rows = [(A,), (C,), (A,), (B,)]
    assert sift(rows) == {2: Duplicate(of=0), 3: Duplicate(of=0, jaccard=41 / 50)}


def test_precedence_is_the_order_given_not_the_number() -> None:
    rows = [(A,), (B,)]
    assert find([1, 0], lambda row: rows[row], Settings()) == {0: Duplicate(of=1, jaccard=41 / 50)}


def test_a_copy_of_a_near_duplicate_names_the_row_that_stayed() -> None:
    assert sift([(A,), (B,), (B,)]) == {1: Duplicate(0, 41 / 50), 2: Duplicate(0, 41 / 50)}


def test_steps_can_be_left_out() -> None:
    rows = [(A,), (A,), (B,)]
    assert sift(rows, Settings(threshold=None)) == {1: Duplicate(of=0)}
    assert sift(rows, Settings(exact=False, threshold=0.99)) == {1: Duplicate(of=0, jaccard=1.0)}
    assert sift(rows, Settings(exact=False, threshold=None)) == {}


def test_a_common_system_prompt_does_not_make_texts_alike() -> None:
    system = C * 5
    assert sift([("はい、お願いします", "", system), ("いいえ、結構です", "", system)]) == {}


def test_the_same_answer_in_another_conversation_is_another_record() -> None:
    assert sift([("はい、お願いします", A, ""), ("はい、お願いします", C, "")]) == {}
    assert sift([("はい、お願いします", A, ""), ("はい、お願いします", B, "")]) == {1: Duplicate(0, 41 / 50)}


def test_short_and_empty_parts_are_compared_whole() -> None:
    assert sift([("はい",), ("いえ",), ("はい",), ("",), ("",)]) == {2: Duplicate(0), 4: Duplicate(3)}
    assert similarity(gram_sets(("",), 5), gram_sets(("",), 5)) == 1.0


def test_hashes_of_a_row_do_not_depend_on_its_neighbours() -> None:
    alone, _ = neardup.hash_grams([(A, "", "短")], 5)
    hashes, ends = neardup.hash_grams([(C,), (A, "", "短"), ("",), ("短",)], 5)
    assert hashes[ends[1] : ends[2]].tolist() == alone.tolist()
    assert ends == [0, len(C) - 4, len(C) - 4 + len(A) - 4 + 1, len(C) + len(A) - 7, len(C) + len(A) - 6]
    assert hashes[ends[3]] != alone[-1], "the same words in another part are other words"


def test_planted_copies_are_found_and_nothing_else() -> None:
    rng = random.Random(5)
    letters = "あいうえおかきくけこ申請経費出張確認連絡会議資料部長課長予定変更"
    rows = [("".join(rng.choices(letters, k=rng.randint(40, 120))),) for _ in range(600)]
    planted = {}
    for source in rng.sample(range(600), 200):
        text = list(rows[source][0])
        text[rng.randrange(len(text))] = "変"
        planted[len(rows)] = source
        rows.append(("".join(text),))
    truly = {
        row: source
        for row, source in planted.items()
        if similarity(gram_sets(rows[row], 5), gram_sets(rows[source], 5)) >= 0.8
    }
    found = sift(rows)
    assert len(truly) > 150
    assert {row: duplicate.of for row, duplicate in found.items()}.items() <= truly.items()
    assert len(found) >= 0.95 * len(truly)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.text(alphabet="あいう", max_size=9), max_size=12))
def test_every_dropped_row_is_near_a_row_that_stayed(texts: list[str]) -> None:
    rows: list[Parts] = [(text,) for text in texts]
    found = sift(rows)
    for row, duplicate in found.items():
        assert duplicate.of < row and duplicate.of not in found
        assert similarity(gram_sets(rows[row], 5), gram_sets(rows[duplicate.of], 5)) >= 0.8
    kept = [row for row in range(len(rows)) if row not in found]
    assert len({rows[row] for row in kept}) == len(kept)
