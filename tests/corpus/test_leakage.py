"""No near-duplicate across splits: the held-out split keeps it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from so8t.corpus.leakage import HeldOut, precedence
from so8t.corpus.neardup import comparable
from so8t.corpus.splits import Fractions, Splitter
from so8t.formats import records
from so8t.formats.records import Record
from tests.corpus import sequential
from tests.corpus.test_duplicates import woven

LONG = "来週の月曜日に本社で開かれる営業会議の資料を、部長に見せる前に確認していただけないでしょうか。"
SAME = "来週の月曜日に本社で開かれる営業会議の資料を、部長に見せる前に確認していただけないでしょうか?"
NEAR = "来週の水曜日に本社で開かれる営業会議の資料を、部長に見せる前に確認していただけないでしょうか。"
OTHER = "梅雨の時期に洗濯物を早く乾かすこつを三つ教えてください。"
NONE_HELD = Splitter(Fractions(validation=0, test=0))


def likes(tmp_path: Path, *rows: tuple[str, str], threshold: float = 0.7) -> list[str | None]:
    entries: list[Record] = [
        {"id": f"r{place}", "text": text, "split": split} for place, (text, split) in enumerate(rows)
    ]
    records.write(tmp_path / "labelled.jsonl", entries)
    with HeldOut(tmp_path / "labelled.jsonl", NONE_HELD, threshold) as held_out:
        return [like for _, like in held_out.alike(entries)]


def test_train_loses_what_is_like_a_test_record(tmp_path: Path) -> None:
    assert likes(tmp_path, (NEAR, "train"), (OTHER, "train"), (LONG, "test")) == ["r2", None, None]


def test_below_the_threshold_both_stay(tmp_path: Path) -> None:
    assert likes(tmp_path, (NEAR, "train"), (LONG, "test"), threshold=0.95) == [None, None]


def test_width_and_sentence_marks_make_no_difference(tmp_path: Path) -> None:
    assert likes(tmp_path, (SAME, "train"), (LONG, "test"), threshold=1.0) == ["r1", None]


def test_within_one_split_near_duplicates_may_stay(tmp_path: Path) -> None:
    assert likes(tmp_path, (LONG, "test"), (NEAR, "test"), (OTHER, "train"), (OTHER, "train")) == [None] * 4


@pytest.mark.parametrize("splits", [("validation", "test"), ("test", "test_known"), ("test_novel", "test_known")])
def test_between_two_held_out_splits_the_one_of_higher_precedence_keeps_it(
    tmp_path: Path, splits: tuple[str, str]
) -> None:
    loser, keeper = splits

    assert likes(tmp_path, (LONG, loser), (LONG, keeper)) == ["r1", None]
    assert likes(tmp_path, (LONG, keeper), (LONG, loser)) == [None, "r0"]


def test_precedence_is_pinned_tests_by_name_then_test_then_validation() -> None:
    assert precedence({"train", "validation", "test_novel", "test_known"}) == [
        *("test_known", "test_novel", "test", "validation", "train")
    ]


def test_texts_shorter_than_an_n_gram_are_compared_whole(tmp_path: Path) -> None:
    assert likes(tmp_path, ("はい", "train"), ("いえ", "train"), ("はい", "test")) == ["r2", None, None]


def test_planted_near_copies_are_found_and_nothing_else_is(tmp_path: Path) -> None:
    held = [(f"{place}号室の{LONG}{OTHER}{place * 7919}", "test") for place in range(0, 900, 3)]
    copies = [(text.replace("営業会議", "販売会議"), "train") for text, _ in held]
    others = [
        (f"{place}年の暦と行事、祝日の由来を{place * 31}字で説明してください。{place * 613}", "train")
        for place in range(300)
    ]

    found = likes(tmp_path, *held, *copies, *others)

    assert found[:300] == [None] * 300
    assert sum(like is not None for like in found[300:600]) >= 285  # recall of 0.95 at least
    assert found[600:] == [None] * 300


@pytest.mark.parametrize("seed", range(6))
def test_sorted_keys_find_what_an_index_of_rensa_finds(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    texts = [text or "空" for text, *_ in woven(rng, 250)]
    splits = [rng.choice(("train", "train", "validation", "test", "test_known")) for _ in texts]
    threshold = rng.choice((0.3, 0.6, 0.8, 1.0))
    rank = {name: place for place, name in enumerate(precedence(splits))}

    expected = sequential.alike([comparable(text) for text in texts], splits, rank, threshold)

    found = likes(tmp_path, *zip(texts, splits, strict=True), threshold=threshold)
    assert found == [None if row is None else f"r{row}" for row in expected]
    assert any(found)
