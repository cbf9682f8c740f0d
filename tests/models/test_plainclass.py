"""Whoever loads a base's tokenizer with transformers reads its tokenizer.json as it stands."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from so8t.formats import published, strings, thinking
from so8t.models import plainclass
from tests.bases import phi35

TEXTS = [text for _, text in strings.strings(thinking.TAGS, 3000, seed=1)]


@pytest.fixture
def llama2(tmp_path: Path) -> Path:
    """A tokenizer of Llama 2's kind: a space is read before every text, also before one that begins with a space."""
    phi35.write_tokenizer(tmp_path, phi35.train(["東京支店の営業時間は？ What time is it?"] * 9, 320))
    (tmp_path / "config.json").write_text('{"model_type": "llama", "architectures": ["LlamaForCausalLM"]}', "utf-8")
    return tmp_path


def raw(folder: Path) -> list[list[int]]:
    """As the file alone says it."""
    file = Tokenizer.from_file(str(folder / "tokenizer.json"))
    return [found.ids for found in file.encode_batch(TEXTS, add_special_tokens=False)]


def test_training_reads_the_file_where_transformers_class_would_read_another_tokenizer(llama2: Path) -> None:
    chosen = published.auto(llama2)

    assert type(chosen).__name__ == "LlamaTokenizer"
    assert published.tokenizer(llama2)(TEXTS, add_special_tokens=False)["input_ids"] == raw(llama2)
    assert chosen(TEXTS, add_special_tokens=False)["input_ids"] != raw(llama2)


def test_the_base_is_told_to_be_read_as_it_stands_and_nothing_else_is_changed(llama2: Path) -> None:
    before = json.loads((llama2 / "tokenizer_config.json").read_bytes())

    assert plainclass.settle(llama2) == "LlamaTokenizer"

    assert published.auto(llama2)(TEXTS, add_special_tokens=False)["input_ids"] == raw(llama2)
    after = json.loads((llama2 / "tokenizer_config.json").read_bytes())
    assert after == {**before, "tokenizer_class": "PreTrainedTokenizerFast"}
    assert plainclass.settle(llama2) == ""


def test_a_folder_that_is_read_as_it_stands_keeps_every_byte(tmp_path: Path, llama2: Path) -> None:
    phi3 = {"model_type": "phi3", "architectures": ["Phi3ForCausalLM"]}  # which gets the plain class anyway
    (llama2 / "config.json").write_text(json.dumps(phi3), "utf-8")
    before = {path.name: path.read_bytes() for path in llama2.iterdir()}

    assert plainclass.settle(llama2) == ""
    assert {path.name: path.read_bytes() for path in llama2.iterdir()} == before


def test_a_folder_without_the_file_is_left_to_transformers(llama2: Path) -> None:
    (llama2 / "tokenizer.json").unlink()

    assert plainclass.settle(llama2) == ""
    assert type(published.tokenizer(llama2)) is type(published.auto(llama2))
