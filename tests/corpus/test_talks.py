"""Conversations as they are become lines of thinking_sft.jsonl: which answers think, and which are learned."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from so8t.corpus import talks
from so8t.corpus.talks import TalkWriter, Turn
from so8t.formats.chat import PHI3
from so8t.formats.thinking import NONE, THINK, TWO_HEADINGS, ThinkingFormat, reserving
from so8t.train import conversations

RECORD: dict[str, Any] = {
    "id": "00c0ffee00c0ffee",
    "text": "二つ目は？",
    "system": "短く。",
    "history": [
        {"role": "user", "content": "一つ目は？"},
        {"role": "assistant", "content": "<think>\n考えた。\n</think>\n\n登山です。"},
        {"role": "user", "content": "なぜ？"},
        {"role": "assistant", "content": "景色です。"},
    ],
    "answer": "<think>次を考えた。</think>釣りです。",
    "split": "train",
    "source": {"name": "talks"},
}


def line(fmt: ThinkingFormat, learn: Any = "every", kept: bool = True, **changes: Any) -> dict[str, Any]:
    record = {**RECORD, **changes}
    turn = talks.last(record)
    assert turn is not None
    return TalkWriter(PHI3, replace(reserving(fmt, PHI3.tokens), history=kept), "", learn)(record, turn)


@pytest.mark.parametrize(
    ("content", "turn"),
    [
        ("はい。", Turn("", "はい。")),
        ("<think>\nあ\n\nい\n</think>\n\nはい。\n", Turn("あ\n\nい", "はい。\n")),
        ("<think></think>はい。", Turn("", "はい。")),
        ("<think>終わらない", Turn("", "<think>終わらない")),
        ("後の<think>あ</think>", Turn("", "後の<think>あ</think>")),
    ],
)
def test_an_answer_brings_its_thinking_in_front(content: str, turn: Turn) -> None:
    assert talks.brought(content) == turn


def test_a_record_may_bring_it_beside_and_one_without_an_answer_is_none() -> None:
    assert talks.last({"answer": "はい。", "thinking": {"task": "一", "safety": "二", "policy": "三"}}) == Turn(
        "一\n二\n三", "はい。"
    )
    assert talks.last({"text": "a"}) is talks.last({"answer": "<think>考えた</think> "}) is None


def test_a_conversation_keeps_its_turns_and_what_was_thought_in_them() -> None:
    assert line(THINK) == {
        "id": "00c0ffee00c0ffee",
        "messages": [
            {"role": "system", "content": "短く。"},
            {"role": "user", "content": "一つ目は？"},
            {"role": "assistant", "content": "<think>\n考えた。\n</think>\n\n登山です。"},
            {"role": "user", "content": "なぜ？"},
            {"role": "assistant", "content": "景色です。"},
            {"role": "user", "content": "二つ目は？"},
            {"role": "assistant", "content": "<think>\n次を考えた。\n</think>\n\n釣りです。"},
        ],
        "text": "<|system|>\n短く。<|end|>\n<|user|>\n一つ目は？<|end|>\n<|assistant|>\n<think>\n考えた。\n</think>\n\n"
        "登山です。<|end|>\n<|user|>\nなぜ？<|end|>\n<|assistant|>\n景色です。<|end|>\n<|user|>\n二つ目は？<|end|>\n"
        "<|assistant|>\n<think>\n次を考えた。\n</think>\n\n釣りです。<|end|>\n",
        "split": "train",
        "made_from": "given",
        "learn": [2],
        "source": {"name": "talks"},
    }


def test_the_last_answer_alone_is_learned_where_the_spec_says_so() -> None:
    assert "learn" not in line(THINK, "last")


def test_a_history_that_drops_thinking_shows_the_answers_alone() -> None:
    found = line(THINK, "last", kept=False)

    assert [message["content"] for message in found["messages"][2:5]] == ["登山です。", "なぜ？", "景色です。"]


def test_without_a_place_for_thinking_it_is_left_out_and_every_answer_can_be_learned() -> None:
    found = line(NONE)

    assert [message["content"] for message in found["messages"] if message["role"] == "assistant"] == [
        "登山です。",
        "景色です。",
        "釣りです。",
    ]
    assert found["learn"] == [2, 4] and "direct" not in found


def test_an_answer_without_thinking_is_learned_directly_alone() -> None:
    for fmt, begun in ((THINK, "<think>\n\n</think>\n\n"), (TWO_HEADINGS, "# 最終回答\n")):
        found = line(fmt, answer="釣りです。", history=[], system="")
        (form,) = conversations.forms(found, PHI3, fmt)

        assert found["direct"] == "only"
        assert "".join(piece.text for piece in form) == (
            f"<|user|>\n二つ目は？<|end|>\n<|assistant|>\n{begun}釣りです。<|end|>\n"
        )
        assert "".join(piece.text for piece in form if piece.learned) == "釣りです。<|end|>"


def test_what_is_learned_of_every_answer_is_what_the_model_is_to_write() -> None:
    (form,) = conversations.forms(line(THINK), PHI3, THINK)

    assert "".join(piece.text for piece in form if piece.learned) == (
        "<think>\n考えた。\n</think>\n\n登山です。<|end|><think>\n次を考えた。\n</think>\n\n釣りです。<|end|>"
    )


def test_text_that_spells_a_marker_is_text() -> None:
    found = line(THINK, answer="<think>一</think>印は</think>です。", history=[])

    assert found["messages"][-1]["content"] == "<think>\n一\n</think>\n\n印は<\\/think>です。"
