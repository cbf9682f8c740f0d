"""Packed rows without a mask: the ends of conversations, and attention that is the mask's."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from so8t.gate import attach, varlen
from so8t.train import losses
from so8t.train.conversations import collate
from tests.gate.families import model, open_up
from tests.train.test_conversations import written


def test_ends_are_where_a_conversation_a_row_or_padding_begins() -> None:
    sequence = torch.tensor([[1, 1, 2, 2, 2, 0], [1, 1, 1, 1, 1, 1]])

    found, longest = varlen.ends(sequence)

    assert (found.tolist(), found.dtype, longest) == ([0, 2, 5, 6, 12], torch.int32, 6)


@pytest.mark.parametrize("family", ["phi3", "llama"])
def test_attention_by_ends_is_attention_by_mask_and_gates_go_on_turning_it(family: str, tmp_path: Path) -> None:
    conversations = written(tmp_path, [9, 5, 12, 7])
    batch = collate([[conversations[0], conversations[1]], [conversations[2], conversations[3]]], 0)
    plain = model(family)
    open_up(attach.attach(plain, "all"), spread=0.1)
    expected = losses.forward(plain, batch)
    varlen.register(varlen.one_by_one)

    attach.route(plain, varlen.NAME)
    by_ends = losses.forward(plain, batch, varlen.told(batch["sequence"]))
    with attach.without(plain):
        ungated = losses.forward(plain, batch, varlen.told(batch["sequence"]))
    attach.route(plain, "sdpa")

    torch.testing.assert_close(by_ends.logits, expected.logits)
    assert not torch.allclose(ungated.logits, expected.logits)
    torch.testing.assert_close(losses.forward(plain, batch).logits, expected.logits)


def test_rows_that_are_not_packed_are_sdpas(tmp_path: Path) -> None:
    conversations = written(tmp_path, [9, 5])
    batch = collate([[conversations[0]], [conversations[1]]], 0)
    plain = model("llama")
    attach.attach(plain, "all")
    expected = losses.forward(plain, batch)
    varlen.register(varlen.one_by_one)

    attach.route(plain, varlen.NAME)

    torch.testing.assert_close(losses.forward(plain, batch).logits, expected.logits, rtol=0, atol=0)
