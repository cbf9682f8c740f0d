"""Each token's part of a conversation: by what its tokens say, thinking first, direct, and broken."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import pytest
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from so8t.formats import chat, sections
from so8t.formats.chat import PHI3, Message
from so8t.formats.encoding import Encoder
from so8t.formats.thinking import TAGS

ASKED: list[Message] = [
    {"role": "system", "content": "判定して答えます。"},
    {"role": "user", "content": "　ＯＳＡＫＡ店は何時まで？ 🏥\n\n"},
]
THINKING = "<think-task>判定: DENY</think-task><think-safety>なし。</think-safety><think-policy>答える。</think-policy>"
FINAL = "<final>判定: ALLOW\n確信度: 0.90\n理由: 時間\n回答: ９時です😊</final>"


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """Of bytes, and of words that it saw: a token is anything from a third of a character to a word."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    letters = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=letters, show_progress=False)
    made.train_from_iterator([THINKING + FINAL] * 3, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=made, bos_token="<s>", eos_token="<|endoftext|>")
    fast.add_special_tokens({"additional_special_tokens": [AddedToken(each) for each in PHI3.role_tokens]})
    return fast


def parts(tokenizer: Any, answer: str) -> list[tuple[str, str]]:
    """Runs of tokens of one part, as text."""
    talk = [*ASKED, {"role": "assistant", "content": answer}]
    ids = Encoder(tokenizer)(chat.segments(talk, PHI3)).ids
    named = sections.sections(talk, Encoder(tokenizer), PHI3, TAGS)
    pairs = zip(named, ids, strict=True)
    return [
        (name, tokenizer.decode([number for _, number in run])) for name, run in groupby(pairs, lambda pair: pair[0])
    ]


def test_the_class_is_its_name_and_nothing_else_whatever_the_thinking_says(tokenizer: Any) -> None:
    (_, prompt), *answered = parts(tokenizer, THINKING + FINAL)

    assert prompt.endswith("<|assistant|>\n")
    assert answered == [
        ("thinking", THINKING + "<final>判定:"),
        ("class", " ALLOW"),  # a token over a border belongs to the part that it ends in
        ("answer", "\n確信度: 0.90\n理由: 時間\n回答: ９時です😊</final><|end|>\n"),
    ]


def test_a_direct_answer_has_little_thinking_and_a_broken_one_is_all_answer(tokenizer: Any) -> None:
    assert [part for part in parts(tokenizer, FINAL) if part[0] != "prompt"] == [
        ("thinking", "<final>判定:"),
        ("class", " ALLOW"),  # a token over a border belongs to the part that it ends in
        ("answer", "\n確信度: 0.90\n理由: 時間\n回答: ９時です😊</final><|end|>\n"),
    ]
    assert [part for part in parts(tokenizer, "<final>はい。</final>") if part[0] != "prompt"] == [
        ("answer", "<final>はい。</final><|end|>\n")
    ]


def test_a_conversation_that_ends_with_a_question_is_all_prompt(tokenizer: Any) -> None:
    assert set(sections.sections(ASKED, Encoder(tokenizer), PHI3, TAGS)) == {"prompt"}


def test_a_token_answers_for_the_one_that_it_predicts(tokenizer: Any) -> None:
    talk = [*ASKED, {"role": "assistant", "content": THINKING + FINAL}]
    own = sections.sections(talk, Encoder(tokenizer), PHI3, TAGS)
    found = sections.following(talk, Encoder(tokenizer), PHI3, TAGS)

    assert found == [*own[1:], "answer"]
    assert found.index("class") == own.index("class") - 1
