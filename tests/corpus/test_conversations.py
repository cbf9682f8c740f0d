"""Held-out conversations: the first of each split, by name, as records and as token ids."""

from __future__ import annotations

from pathlib import Path

import pytest
from transformers import AutoTokenizer

from so8t.corpus.conversations import heldout, token_ids
from so8t.errors import StageError
from so8t.formats import chat, records
from so8t.formats.chat import PHI3
from so8t.formats.encoding import Encoder
from so8t.formats.thinking import TAGS
from tests.formats import untrained

QUESTIONS = ("東京支店の営業時間は？", "　全角の空白😢", "What time is it?")


def talk(text: str) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "<final>はい。</final>"}]}


@pytest.fixture
def sft(tmp_path: Path) -> Path:
    (tmp_path / "splits").mkdir()
    records.write(tmp_path / "splits" / "test.jsonl", [talk(text) for text in QUESTIONS])
    records.write(tmp_path / "splits" / "test_known.jsonl", [talk(QUESTIONS[0])])
    records.write(tmp_path / "splits" / "empty.jsonl", [])
    return tmp_path


def test_the_first_of_each_split_in_the_order_of_the_spec(sft: Path) -> None:
    assert heldout(sft, ("test_known", "test"), 2, "x") == {
        "test_known": [talk(QUESTIONS[0])],
        "test": [talk(QUESTIONS[0]), talk(QUESTIONS[1])],
    }
    assert heldout(sft, ("test",), None, "x") == {"test": [talk(text) for text in QUESTIONS]}


def test_a_split_that_is_not_there_is_told_with_those_that_are(sft: Path) -> None:
    with pytest.raises(StageError) as caught:
        heldout(sft, ("test", "novel"), 1, "gguf: parity.splits")

    assert str(caught.value) == ("gguf: parity.splits: thinking_sft has no split novel; it has empty, test, test_known")


def test_an_empty_split_is_told(sft: Path) -> None:
    with pytest.raises(StageError) as caught:
        heldout(sft, ("test", "empty"), 1, "evaluation: splits")

    assert str(caught.value) == (
        "evaluation: splits: split empty holds no conversation; give it a share, or leave it out"
    )


def test_token_ids_have_names_and_are_those_of_the_training(sft: Path, tmp_path: Path) -> None:
    untrained.train(tmp_path / "model", TAGS, 512)
    tokenizer = AutoTokenizer.from_pretrained(str(tmp_path / "model"), local_files_only=True)
    found = token_ids(heldout(sft, ("test", "test_known"), 2, "x"), tmp_path / "model", PHI3, 5)
    trained = Encoder(tokenizer)(chat.segments(talk(QUESTIONS[0])["messages"], PHI3)).ids  # type: ignore[arg-type]

    assert list(found) == ["test:1", "test:2", "test_known:1"]
    assert found["test:1"] == found["test_known:1"] == trained[:5]
    assert [len(ids) for ids in found.values()] == [5, 5, 5]
