"""Token files, rows, packing, batches."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.errors import StageError
from so8t.formats import direct, records
from so8t.formats.chat import PHI3
from so8t.formats.encoding import Encoded, Encoder
from so8t.formats.thinking import FORMATS, TAGS, Final, Thinking, ThinkingFormat, compose
from so8t.train import losses
from so8t.train.conversations import Conversations, Counts, Rows, collate, deal, pack, read, write
from tests.formats import untrained
from tests.gate.families import FAMILIES, model


def one(length: int, prompt: int = 1, first: int = 3) -> Encoded:
    return Encoded(list(range(first, first + length)), [at >= prompt for at in range(length)])


def written(folder: Path, lengths: list[int], room: int = 100) -> Conversations:
    write(folder, (one(length, first=3 + 7 * n) for n, length in enumerate(lengths)), room)
    return Conversations(folder)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    counts = write(tmp_path, [one(4, 2), one(9, 2), Encoded([5, 6], [False, False]), one(3, 0)], longest=8)

    conversations = Conversations(tmp_path)
    assert counts == Counts(conversations=2, too_long=1, nothing_to_learn=1, tokens=7, learned=4)
    assert conversations.lengths == [4, 3]
    ids, labels = conversations[0]
    assert ids.tolist() == [3, 4, 5, 6] and labels.tolist() == [-100, -100, 5, 6]
    assert conversations[1][1].tolist() == [-100, 4, 5]  # nothing comes before a first token


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_a_record_that_is_chosen_comes_a_second_time_as_a_direct_answer(fmt: ThinkingFormat, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    untrained.train(tmp_path / "words", fmt, 700)
    words = AutoTokenizer.from_pretrained(str(tmp_path / "words"))
    answer = compose(Thinking("件", "安全", "方針", Final("ALLOW", 0.9, "理由", "はい。")), fmt)
    messages = [{"role": "user", "content": "営業は？"}, {"role": "assistant", "content": answer}]
    rows = [{"id": "a", "messages": messages}, {"id": "b", "messages": messages, "direct": True}]
    records.write(tmp_path / "train.jsonl", rows)

    whole, again, direct = read(tmp_path / "train.jsonl", PHI3, fmt, Encoder(words))
    records.write(tmp_path / "train.jsonl", rows[::-1])
    assert list(read(tmp_path / "train.jsonl", PHI3, fmt, Encoder(words), most=1)) == [again, direct]
    assert whole == again
    said = [words.decode([i for i, on in zip(one.ids, one.learned, strict=True) if on]) for one in (whole, direct)]
    inside = "判定: ALLOW\n確信度: 0.90\n理由: 理由\n回答: はい。" + fmt.parts[-1].close
    assert said == [f"{answer}<|end|>", f"{inside}<|end|>"]
    given = [words.decode([i for i, on in zip(one.ids, one.learned, strict=True) if not on]) for one in (whole, direct)]
    assert given[0] == "<|user|>\n営業は？<|end|>\n<|assistant|>\n\n"
    assert given[1] == f"<|user|>\n営業は？<|end|>\n<|assistant|>\n{fmt.parts[-1].open}\n"


def test_a_direct_answer_is_learned_behind_the_turns_that_its_line_names() -> None:
    messages = [
        {"role": "system", "content": "判定します。"},
        {"role": "user", "content": "二つ目"},
        {"role": "assistant", "content": compose(Thinking("件", "安全", "方針", Final("DENY", 0.9, "理", "否")), TAGS)},
    ]
    before = [{"role": "user", "content": "一つ目"}, {"role": "assistant", "content": "<final>前の答え</final>"}]

    said = direct.answered(messages, TAGS, before)

    assert [each["content"] for each in said] == [
        *("判定します。", "一つ目", "<final>前の答え</final>", "二つ目"),
        "<final>判定: DENY\n確信度: 0.90\n理由: 理\n回答: 否</final>",
    ]


def test_nothing_left_says_what_to_do(tmp_path: Path) -> None:
    write(tmp_path, [one(9)], longest=8)
    with pytest.raises(StageError) as caught:
        Conversations(tmp_path)
    assert str(caught.value) == (
        "adapter: no conversation is left to train on; raise train.sequence, or look at thinking_sft"
    )


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.lists(st.integers(1, 50), max_size=60))
def test_packing_keeps_every_number_once_and_never_overfills(lengths: list[int]) -> None:
    rows = pack(lengths, 50)

    assert sorted(number for row in rows for number in row) == list(range(len(lengths)))
    assert all(sum(lengths[number] for number in row) <= 50 for row in rows)
    halves = sum(sum(lengths[number] for number in row) <= 25 for row in rows)
    assert halves <= 1  # two rows that fit into one would have been one


def test_packing_fills_rows_well() -> None:
    dice = random.Random(1)
    lengths = [dice.randint(20, 400) for _ in range(5000)]
    assert sum(lengths) / (len(pack(lengths, 2048)) * 2048) > 0.99


def test_a_batch_pads_on_the_right_and_counts_conversations(tmp_path: Path) -> None:
    conversations = written(tmp_path, [3, 2, 4])

    batch = collate([[conversations[0], conversations[1]], [conversations[2]]], fill=0)

    assert batch["input_ids"].tolist() == [[3, 4, 5, 10, 11], [17, 18, 19, 20, 0]]
    assert batch["labels"].tolist() == [[-100, 4, 5, -100, 11], [-100, 18, 19, 20, -100]]
    assert batch["sequence"].tolist() == [[1, 1, 1, 2, 2], [1, 1, 1, 1, 0]]
    assert batch["position_ids"].tolist() == [[0, 1, 2, 0, 1], [0, 1, 2, 3, 4]]
    assert "position_ids" not in collate([[conversations[0]], [conversations[2]]], fill=0)


def test_a_batch_is_as_wide_as_the_next_multiple(tmp_path: Path) -> None:
    conversations = written(tmp_path, [3, 2, 4])

    batch = collate([[conversations[0], conversations[1]], [conversations[2]]], fill=7, unit=4)

    assert batch["input_ids"].tolist() == [[3, 4, 5, 10, 11, 7, 7, 7], [17, 18, 19, 20, 7, 7, 7, 7]]
    assert batch["labels"][:, 5:].eq(-100).all() and batch["sequence"][:, 5:].eq(0).all()
    assert collate([[conversations[2]]], fill=7, unit=4)["input_ids"].tolist() == [[17, 18, 19, 20]]
    lanes = deal([[conversations[2]], [conversations[0]]], lanes=2, micro_batch=1, fill=7, unit=3)
    assert [lane[0]["input_ids"].tolist() for lane in lanes] == [[[17, 18, 19, 20, 7, 7]], [[3, 4, 5]]]


@pytest.mark.parametrize("family", FAMILIES)
def test_a_packed_row_computes_what_its_conversations_compute_alone(family: str, tmp_path: Path) -> None:
    made: Any = model(family)
    conversations = written(tmp_path, [9, 5, 12, 7])
    rows = Rows(conversations, room=21)
    assert sorted(map(len, rows.contents)) == [2, 2]

    def nll(some: list[Any]) -> torch.Tensor:
        batch = collate(some, fill=0)
        with torch.no_grad():
            done = losses.forward(made, batch)
        return torch.nn.functional.cross_entropy(done.logits, done.labels, reduction="none")

    packed = nll([rows[0], rows[1]])
    alone = torch.cat([nll([[conversations[number]]]) for row in rows.contents for number in row])
    padded = nll([[conversations[number]] for row in rows.contents for number in row])

    torch.testing.assert_close(packed, alone, rtol=0, atol=1e-4)  # float32; cross-entropies of 4 to 30
    torch.testing.assert_close(padded, alone, rtol=0, atol=1e-4)


def test_token_files_hold_ids_beyond_16_bits(tmp_path: Path) -> None:
    write(tmp_path, [Encoded([200_000, 256_127], [True, True])], longest=8)
    ids, _ = Conversations(tmp_path)[0]
    assert ids.tolist() == [200_000, 256_127] and ids.dtype == numpy.int64
