from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.corpus import duplicates, sketches
from so8t.corpus.neardup import Duplicate, Parts, Settings, gram_sets, similarity
from tests.corpus import sequential

A = "出張の交通費を申請したいのですが、領収書をなくしました。どのように手続きすればよいか教えてください。"
B = "出張の交通費を申請したいのですが、領収書をなくしました。どのように手続きすればよいか教えて下さい。"
C = "有給休暇の残り日数を確認する画面はどこにありますか。人事システムの使い方も知りたいです。"

DEFAULT = Settings()


def sift(
    rows: Sequence[Parts], settings: Settings = DEFAULT, order: Iterable[int] | None = None
) -> dict[int, Duplicate]:
    numbers = np.array(list(range(len(rows)) if order is None else order), np.int64)
    with TemporaryDirectory() as folder, duplicates.sweep(rows, settings, Path(folder) / "marks") as marks:
        return dict(duplicates.find(marks, numbers, rows.__getitem__, settings, Path(folder) / "near"))


def test_the_earlier_row_wins() -> None:
    rows = [(A,), (C,), (A,), (B,)]
    assert sift(rows) == {2: Duplicate(of=0), 3: Duplicate(of=0, jaccard=41 / 50)}


def test_precedence_is_the_order_given_not_the_number() -> None:
    assert sift([(A,), (B,)], order=[1, 0]) == {0: Duplicate(of=1, jaccard=41 / 50)}
    assert sift([(A,), (C,), (A,)], order=[2, 1, 0]) == {0: Duplicate(of=2)}


def test_a_row_that_is_not_asked_for_repeats_nothing_and_nothing_repeats_it() -> None:
    assert sift([(A,), (B,), (A,), (B,)], order=[3, 1]) == {1: Duplicate(of=3)}


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
    assert sift([]) == {}


def test_hashes_of_a_row_do_not_depend_on_its_neighbours() -> None:
    alone, _ = sketches.hash_grams([(A, "", "短")], 5)
    hashes, ends = sketches.hash_grams([(C,), (A, "", "短"), ("",), ("短",)], 5)
    assert hashes[ends[1] : ends[2]].tolist() == alone.tolist()
    assert ends == [0, len(C) - 4, len(C) - 4 + len(A) - 4 + 1, len(C) + len(A) - 7, len(C) + len(A) - 6]
    assert hashes[ends[3]] != alone[-1], "the same words in another part are other words"


def test_rows_share_a_key_exactly_where_a_band_of_their_sketches_is_equal() -> None:
    rng = np.random.default_rng(7)
    some = rng.integers(0, 1 << 32, (60, 12), dtype=np.uint32)
    some[rng.random(some.shape) < 0.6] = 5  # so that many bands are equal
    keys = sketches.band_keys(some, 4)

    equal = (some.reshape(60, 1, 4, 3) == some.reshape(1, 60, 4, 3)).all(axis=-1)
    assert ((keys[:, None] == keys[None]) == equal).all()
    assert all(not set(keys[:, band].tolist()) & set(keys[:, band + 1].tolist()) for band in range(3))


def test_planted_copies_are_found_and_nothing_else() -> None:
    rows, planted = corpus(600, 200, seed=5)
    truly = {
        row: source
        for row, source in planted.items()
        if similarity(gram_sets(rows[row], 5), gram_sets(rows[source], 5)) >= 0.8
    }
    found = sift(rows)
    assert len(truly) > 150
    assert {row: duplicate.of for row, duplicate in found.items()}.items() <= truly.items()
    assert len(found) >= 0.95 * len(truly)


def corpus(count: int, copies: int, seed: int) -> tuple[list[Parts], dict[int, int]]:
    rng = random.Random(seed)
    letters = "あいうえおかきくけこ申請経費出張確認連絡会議資料部長課長予定変更"
    rows: list[Parts] = [("".join(rng.choices(letters, k=rng.randint(40, 120))),) for _ in range(count)]
    planted = {}
    for source in rng.sample(range(count), copies):
        text = list(rows[source][0])
        text[rng.randrange(len(text))] = "変"
        planted[len(rows)] = source
        rows.append(("".join(text),))
    return rows, planted


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


# --- equal to the search one by one, with an index in memory ------------------------------------------------------


def woven(rng: random.Random, count: int) -> list[Parts]:
    """Texts of a few patterns with small changes, so that rows stand in chains and groups of every size."""
    patterns = ["".join(rng.choices("あいうえおかきくけこさしすせそ申請経費", k=rng.randint(3, 60))) for _ in range(8)]
    rows: list[Parts] = []
    while len(rows) < count:
        text = list(rng.choice(patterns))
        for _ in range(rng.randint(0, 4)):
            text[rng.randrange(len(text))] = rng.choice("変更予定あ")
        rows.append(("".join(text), rng.choice(("", "", "前の話" * 5)), rng.choice(("", "あなたは助手です。"))))
    return rows


@pytest.mark.parametrize("seed", range(12))
def test_the_search_on_disk_finds_what_a_search_row_by_row_finds(seed: int) -> None:
    rng = random.Random(seed)
    rows = woven(rng, rng.choice((1, 17, 90, 300)))
    order = rng.sample(range(len(rows)), rng.randint(len(rows) // 2, len(rows)))
    bands = rng.choice((4, 16, 32))
    setting = Settings(
        exact=rng.random() < 0.7,
        threshold=rng.choice((0.3, 0.5, 0.8, 0.95, None)),
        ngram=rng.choice((1, 3, 5)),
        permutations=bands * rng.choice((1, 2, 6)),
        bands=bands,
        seed=rng.choice((0, 42)),
    )

    assert sift(rows, setting, order) == sequential.find(order, rows.__getitem__, setting)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(300))
def test_300_more_random_corpora(seed: int) -> None:
    test_the_search_on_disk_finds_what_a_search_row_by_row_finds(1000 + seed)


@pytest.mark.soak
def test_100_000_records_one_by_one_and_on_disk(tmp_path: Path) -> None:
    rows, _ = corpus(90_000, 10_000, seed=3)
    random.Random(4).shuffle(rows)
    rows += [rows[at] for at in range(0, 5000, 7)]

    found = sift(rows)

    assert found == sequential.find(range(len(rows)), rows.__getitem__, DEFAULT)
    assert len(found) > 9_000
