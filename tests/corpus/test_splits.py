"""Splits follow the text alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from so8t.corpus.splits import Fractions, SplitFiles, Splitter, normalised
from so8t.errors import StageError

TEXTS = [f"{number}番の会議の予定を教えてください。" for number in range(4000)]
TENTHS = Fractions(validation=0.1, test=0.1)


def split_of(text: str, fractions: Fractions) -> str:
    return Splitter(fractions)({"text": text})


def test_the_shares_are_what_was_asked_for() -> None:
    counts = Counter(split_of(text, TENTHS) for text in TEXTS)

    assert counts == {"train": 3124, "validation": 423, "test": 453}


def test_a_text_stays_where_it_is_whatever_else_there_is() -> None:
    assert [split_of(text, TENTHS) for text in TEXTS[:6]] == [
        *("train", "train", "train", "validation", "train", "train")
    ]


def test_a_larger_test_share_moves_nothing_out_of_test_or_validation() -> None:
    larger = Fractions(validation=0.1, test=0.2)
    moves = {(split_of(text, TENTHS), split_of(text, larger)) for text in TEXTS}

    assert moves == {("test", "test"), ("validation", "validation"), ("train", "train"), ("train", "test")}


@pytest.mark.parametrize("copy", ["会議 の予定は?\n", "会議　の予定は？", "会議の予定は?", "会議の\r\n予定は？\t"])
def test_the_same_text_in_other_widths_and_spaces_is_in_the_same_split(copy: str) -> None:
    assert normalised(copy) == normalised("会議の予定は？")


def test_decomposed_kana_are_the_same_text() -> None:
    assert normalised("か\u3099く") == normalised("がく")


def test_without_fractions_all_is_train() -> None:
    assert {split_of(text, Fractions(validation=0, test=0)) for text in TEXTS} == {"train"}


def test_a_pinned_record_stays_where_its_source_put_it() -> None:
    assert Splitter(TENTHS)({"id": "1", "text": "質問", "split": "test_novel"}) == "test_novel"


@pytest.mark.parametrize("name", ["../test", "Test", "", "試験", "con", "a" * 65])
def test_a_split_that_cannot_name_a_file_is_refused(name: str) -> None:
    with pytest.raises(StageError) as caught:
        Splitter(TENTHS)({"id": "00c0ffee", "text": "質問", "split": name})

    assert str(caught.value) == (
        f"record 00c0ffee: split {name!r} cannot name a file; use a-z, 0-9 and _, beginning with a letter"
    )


@pytest.mark.parametrize(("validation", "test"), [(0.5, 0.5), (-0.1, 0.1), (0.1, 1)])
def test_fractions_leave_something_to_train(validation: float, test: float) -> None:
    with pytest.raises(ValidationError, match="must be at least 0 and below 1"):
        Fractions(validation=validation, test=test)


def test_the_standard_files_exist_even_when_empty(tmp_path: Path) -> None:
    with SplitFiles(tmp_path / "splits") as writes:
        writes["test_known"](b"{}\n")

    assert {file.name: file.read_bytes() for file in sorted((tmp_path / "splits").iterdir())} == {
        "test.jsonl": b"",
        "test_known.jsonl": b"{}\n",
        "train.jsonl": b"",
        "validation.jsonl": b"",
    }
