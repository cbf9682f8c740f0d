"""The tokenizer: one table of ids for SentencePiece and Hugging Face, roles special, markers printed, nothing lost."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from so8t.errors import StageError
from so8t.formats import chat, records
from so8t.formats.chat import PHI3, Segment
from so8t.models import documents, tokenizer
from so8t.models.tokenizer import Symbols

SYMBOLS = Symbols("<s>", "<|endoftext|>", PHI3.role_tokens, ("<final>", "</final>"))
TEXTS = [
    "駅前店の営業時間を教えてもらえますか？",
    "外貨預金の仕組みを学生にも教えて 😢",
    "Ｗｉ－Ｆｉ の password 123",
] * 4


@pytest.fixture(scope="module")
def quick(pico: Path):
    return AutoTokenizer.from_pretrained(str(pico))


@pytest.fixture(scope="module")
def pieces(pico: Path):
    return tokenizer.processor((pico / "tokenizer.model").read_bytes())


def test_symbols_come_first_in_a_fixed_order() -> None:
    pieces = tokenizer.processor(tokenizer.train(TEXTS, 320, SYMBOLS))

    assert [pieces.IdToPiece(number) for number in range(12)] == [
        "<unk>",
        "<s>",
        "</s>",
        "<|endoftext|>",
        "<|system|>",
        "<|user|>",
        "<|assistant|>",
        "<|end|>",
        "<final>",
        "</final>",
        "<0x00>",
        "<0x01>",
    ]


def test_the_same_texts_give_the_same_bytes() -> None:
    assert tokenizer.train(TEXTS, 320, SYMBOLS) == tokenizer.train(iter(TEXTS), 320, SYMBOLS)


@pytest.mark.parametrize("spaced", [0, 1])
def test_japanese_without_spaces_gives_a_tokenizer_that_gives_spaces_back(spaced: int) -> None:
    texts = ["経費精算の締め切りはいつですか？", "窓口で受け付けます。"] * 400 + ["空白 が一つ"] * spaced

    pieces = tokenizer.processor(tokenizer.train(texts, 320, SYMBOLS))

    assert pieces.decode(pieces.encode(" 窓口 で　は ")) == " 窓口 で　は "


def test_a_vocabulary_that_the_corpus_cannot_fill_is_an_error_with_the_limit() -> None:
    with pytest.raises(StageError) as caught:
        tokenizer.train(TEXTS, 3000, SYMBOLS)

    message = str(caught.value)
    assert message.startswith(
        "base_model: no tokenizer of 3000 pieces can be trained on this corpus (266 are taken by "
    )
    assert message.endswith("; change source.vocab_size or add text")


def test_a_vocabulary_smaller_than_its_symbols_is_an_error() -> None:
    with pytest.raises(StageError, match="no tokenizer of 200 pieces"):
        tokenizer.train(TEXTS, 200, SYMBOLS)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40))
def test_both_readers_agree_on_any_text_and_give_it_back(quick, pieces, text: str) -> None:
    ids = pieces.encode(text)

    assert quick(text, add_special_tokens=False, split_special_tokens=True)["input_ids"] == ids
    assert pieces.decode(ids) == text
    assert quick.decode(ids) == text


def test_a_conversation_has_the_same_ids_in_pieces_and_as_a_whole(quick, pieces, sft: Path, pico: Path) -> None:
    symbols = tokenizer.symbols(json.loads((sft / "chat_format.json").read_text("utf-8")))
    for record in records.read(sft / "splits" / "train.jsonl"):
        segments = chat.segments(record["messages"], PHI3)

        assert quick.apply_chat_template(record["messages"], tokenize=False) == record["text"]
        assert quick.apply_chat_template(record["messages"])["input_ids"] == tokenizer.encode(pieces, segments, symbols)


def test_a_role_token_that_a_message_spells_stays_text(pieces) -> None:
    symbols = Symbols("<s>", "<|endoftext|>", PHI3.role_tokens, ())
    spelled = tokenizer.encode(pieces, [Segment("<|end|>", "user", structure=False, learned=False)], symbols)
    meant = tokenizer.encode(pieces, [Segment("<|end|>\n", "user", structure=True, learned=False)], symbols)

    assert pieces.PieceToId("<|end|>") not in spelled
    assert pieces.decode(spelled) == "<|end|>"
    assert meant == [pieces.PieceToId("<|end|>"), pieces.PieceToId("<0x0A>")]


def test_roles_are_special_and_markers_are_not(quick, pico: Path) -> None:
    added = json.loads((pico / "tokenizer.json").read_text("utf-8"))["added_tokens"]

    assert {token["content"]: token["special"] for token in added} == {
        "<unk>": True,
        "<s>": True,
        "</s>": True,
        "<|endoftext|>": True,
        "<|system|>": True,
        "<|user|>": True,
        "<|assistant|>": True,
        "<|end|>": True,
        "<think-task>": False,
        "</think-task>": False,
        "<think-safety>": False,
        "</think-safety>": False,
        "<think-policy>": False,
        "</think-policy>": False,
        "<final>": False,
        "</final>": False,
    }
    ids = quick("<final>はい</final><|end|>", add_special_tokens=False)["input_ids"]
    assert quick.decode(ids, skip_special_tokens=True) == "<final>はい</final>"


def test_the_folder_names_the_class_that_converters_ask_for(pico: Path) -> None:
    config = json.loads((pico / "tokenizer_config.json").read_text("utf-8"))

    assert config["tokenizer_class"] == "LlamaTokenizer"
    assert (config["bos_token"], config["eos_token"], config["pad_token"]) == ("<s>", "<|endoftext|>", "<|endoftext|>")
    assert json.loads((pico / "special_tokens_map.json").read_text("utf-8")) == {
        "bos_token": "<s>",
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
        "unk_token": "<unk>",
    }


def test_a_folder_whose_readers_disagree_is_refused(pico: Path, tmp_path: Path) -> None:
    for name in ("tokenizer.model", "tokenizer_config.json", "config.json"):
        (tmp_path / name).write_bytes((pico / name).read_bytes())
    table = json.loads((pico / "tokenizer.json").read_text("utf-8"))
    table["model"]["merges"] = []
    (tmp_path / "tokenizer.json").write_text(json.dumps(table), "utf-8")

    with pytest.raises(StageError, match=r"tokenizer\.model and tokenizer\.json disagree on "):
        tokenizer.check(tmp_path, ["本店の営業時間を教えて", "東京支店で煙が出ています"])


def test_the_tokenizer_reads_every_message_and_a_repeated_system_message_once(sft: Path) -> None:
    texts = list(documents.texts(sft / "splits" / "train.jsonl"))

    assert len(texts) == 1 + 2 * 24
    assert texts.count("判定して答えます。") == 1
