"""AdamW's forms, why one is chosen, and the gates' own group."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from so8t.errors import StageError
from so8t.gate import attach
from so8t.train import lora, optimizer
from so8t.train.settings import Gates, Lora, Train
from tests.gate.families import model, tokens

CPU = torch.device("cpu")


def learner() -> Any:
    made = model("phi3", {"hidden_size": 512, "head_dim": 384}).requires_grad_(False)
    gates = attach.attach(made, "all")
    wrapped = lora.add_lora(made, Lora(r=8, alpha=4), seed=0)
    attach.train(gates)
    return wrapped


def test_the_choice_tells_its_reason() -> None:
    assert optimizer.choose("auto", CPU) == ("adamw", "the device is cpu: there is memory for full moments")
    assert optimizer.choose("auto", torch.device("cuda")) == (
        "paged_adamw8bit",
        "the device is CUDA: 8-bit moments, paged out when memory is short",
    )
    assert optimizer.choose("adamw8bit", CPU) == ("adamw8bit", "the spec says so")


def test_gates_learn_at_their_own_rate_without_decay() -> None:
    made = learner()

    low_rank, turning = optimizer.groups(made, Train(learning_rate=1e-3, weight_decay=0.1), Gates(learning_rate=0.02))

    assert (low_rank["lr"], low_rank["weight_decay"], len(low_rank["params"])) == (1e-3, 0.1, 32)
    assert (turning["lr"], turning["weight_decay"], len(turning["params"])) == (0.02, 0.0, 8)


def test_eight_bit_moments_on_a_processor_leave_gates_whole() -> None:
    made = learner()
    chosen = optimizer.create("adamw8bit", made, Train(), Gates(), CPU)
    made(input_ids=tokens(), labels=tokens()).loss.backward()
    before = {name: p.detach().clone() for name, p in lora.trainable(made).items()}

    chosen.step()

    kinds = {
        name: chosen.state[p]["state1"].dtype
        for name, p in lora.trainable(made).items()
        if p.numel() >= 4096  # smaller ones are never cut to 8 bits
    }
    assert {kind for name, kind in kinds.items() if "so8_gate" in name} == {torch.float32}
    assert {kind for name, kind in kinds.items() if "lora_" in name} == {torch.uint8}
    assert not torch.equal(
        before["base_model.model.model.layers.0.self_attn.so8_gate.theta"], attach.gates(made)[0].theta
    )


def test_paging_needs_cuda() -> None:
    with pytest.raises(StageError) as caught:
        optimizer.create("paged_adamw8bit", learner(), Train(), Gates(), CPU)
    assert str(caught.value) == (
        "train.optimizer: paged_adamw8bit needs CUDA, whose memory it pages; take adamw8bit or adamw"
    )
