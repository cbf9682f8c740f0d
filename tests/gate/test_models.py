"""SO8TPhi3: gated Phi-3 as classes that AutoModel knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM

from so8t.gate import attach
from so8t.gate.integration import check, integrate
from so8t.gate.models import (
    SO8TPhi3Attention,
    SO8TPhi3Config,
    SO8TPhi3DecoderLayer,
    SO8TPhi3ForCausalLM,
    SO8TPhi3Model,
)
from tests.gate.families import SHAPE, model, open_up, tokens

pytestmark = pytest.mark.slow


def gated(**options: Any) -> SO8TPhi3ForCausalLM:
    torch.manual_seed(7)
    return SO8TPhi3ForCausalLM(SO8TPhi3Config(**SHAPE, **options)).eval()


def logits(made: Any) -> torch.Tensor:
    with torch.no_grad():
        return made(input_ids=tokens()).logits


def test_gates_are_where_the_config_says() -> None:
    made = gated()

    assert list(attach.gates(made)) == [1, 2]
    assert list(attach.gates(gated(so8_layers=[0, 3]))) == [0, 3]
    assert list(attach.gates(gated(so8_layers="all", so8_kind="free"))) == [0, 1, 2, 3]
    assert [type(m) for m in (made.model, made.model.layers[1], made.model.layers[1].self_attn)] == [
        *(SO8TPhi3Model, SO8TPhi3DecoderLayer, SO8TPhi3Attention)
    ]
    check(integrate(made, tokens()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_it_saves_and_loads_with_automodel(dtype: torch.dtype, tmp_path: Path) -> None:
    first = gated()
    open_up(attach.gates(first))
    first.save_pretrained(tmp_path / "float32")
    made = AutoModelForCausalLM.from_pretrained(tmp_path / "float32", dtype=dtype)
    made.save_pretrained(tmp_path)

    again = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=dtype)

    assert type(again) is SO8TPhi3ForCausalLM and type(AutoConfig.from_pretrained(tmp_path)) is SO8TPhi3Config
    assert {p.dtype for gate in attach.gates(again).values() for p in gate.parameters()} == {torch.float32}
    assert torch.equal(logits(again), logits(made))
    bare = AutoModel.from_pretrained(tmp_path)
    assert type(bare) is SO8TPhi3Model and list(attach.gates(bare)) == [1, 2]


def test_a_phi3_checkpoint_becomes_a_gated_model_at_identity(tmp_path: Path) -> None:
    base = model("phi3")
    base.save_pretrained(tmp_path)

    made = SO8TPhi3ForCausalLM.from_pretrained(tmp_path, config=SO8TPhi3Config(**SHAPE, so8_alpha=-3.0))

    assert torch.equal(logits(made), logits(base))
    assert [gate.alpha.item() for gate in attach.gates(made).values()] == [-3.0, -3.0]


@pytest.mark.parametrize("how", ["eager", "sdpa"])
def test_its_own_attention_goes_through_the_gates(how: str) -> None:
    made = gated(attn_implementation=how)
    before = logits(made)

    open_up(attach.gates(made))

    assert made.config._attn_implementation == f"so8t_{how}"
    assert not torch.equal(logits(made), before)


def test_it_trains_with_checkpointing() -> None:
    made = gated().train()
    made.gradient_checkpointing_enable()

    made(input_ids=tokens(), labels=tokens()).loss.backward()

    assert all(gate.theta.grad.abs().sum() > 0 for gate in attach.gates(made).values())
