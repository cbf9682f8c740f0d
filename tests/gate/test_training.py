"""Gates with PEFT's LoRA on every projection and with bitsandbytes' quantised bases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from so8t.gate import attach
from so8t.gate.fold import fold
from so8t.gate.orthogonality import orthogonality_loss
from tests.gate.families import FAMILIES, model, open_up, tokens

pytestmark = pytest.mark.slow

EVERY = "all-linear"


def lora(made: Any) -> Any:
    torch.manual_seed(11)
    return get_peft_model(made, LoraConfig(r=4, lora_alpha=8, target_modules=EVERY, task_type="CAUSAL_LM"))


def logits(made: Any) -> torch.Tensor:
    with torch.no_grad():
        return made(input_ids=tokens()).logits


def learn(made: Any, steps: int = 3, rate: float = 0.02) -> list[float]:
    """A few steps of AdamW on one batch; the losses."""
    made.train()
    gates = attach.gates(made)
    attach.train(gates)
    optimizer = torch.optim.AdamW([p for p in made.parameters() if p.requires_grad], lr=rate)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        task = made(input_ids=tokens(), labels=tokens()).loss
        (task + 0.1 * orthogonality_loss(gates.values(), task)).backward()
        optimizer.step()
        losses.append(task.item())
    made.eval()
    return losses


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("first", ["gates", "peft"])
def test_adapter_merged_and_baked_models_agree(family: str, first: str) -> None:
    made = model(family)
    before = logits(made)
    if first == "gates":
        attach.attach(made)
    wrapped = lora(made)
    if first == "peft":
        attach.attach(wrapped)
    assert torch.equal(logits(wrapped), before)  # gates at identity, LoRA at zero: the base, bit for bit

    open_up(attach.gates(wrapped), alpha=0.0)
    losses = learn(wrapped)
    adapted = logits(wrapped)
    merged = wrapped.merge_and_unload()
    with_gates = logits(merged)
    for layer, gate in attach.gates(merged).items():
        weight = attach.attentions(merged)[layer].o_proj.weight
        weight.data = fold(weight.data, gate.matrix(torch.float64).detach())
    attach.detach(merged)

    scale = adapted.abs().max()
    assert losses[-1] < losses[0]
    assert (with_gates - adapted).abs().max() <= 1e-5 * scale
    assert (logits(merged) - adapted).abs().max() <= 1e-5 * scale
    assert (adapted - before).abs().max() > 1e-2 * scale


def test_peft_wraps_no_gate_and_freezes_them_until_told() -> None:
    made = model("phi3")
    gates = attach.attach(made)
    wrapped = lora(made)

    assert attach.gates(wrapped) == gates
    assert not any(p.requires_grad for gate in gates.values() for p in gate.parameters())
    assert list(attach.names(wrapped).values()) == [f"model.layers.{n}.self_attn" for n in range(4)]
    trained = attach.train(gates)
    assert len(trained) == 4 and all(p.requires_grad for p in trained)


@pytest.mark.parametrize("mode", ["float32", "bfloat16", "autocast"])
def test_a_step_of_training_runs_in_every_precision(mode: str) -> None:
    made = lora(model("phi3", dtype=torch.bfloat16 if mode == "bfloat16" else torch.float32))
    gates = attach.attach(made)
    open_up(gates, alpha=0.0)
    before = {name: p.detach().clone() for name, p in made.named_parameters() if "so8_gate" in name}

    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mode == "autocast"):
        losses = learn(made)

    assert losses[-1] < losses[0]
    assert all(not torch.equal(p, before[name]) for name, p in made.named_parameters() if name in before)
    assert all(p.grad.dtype == torch.float32 for gate in gates.values() for p in gate.parameters())


BITS = {
    "int8": BitsAndBytesConfig(load_in_8bit=True),
    "nf4": BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=torch.float32),
}
WHOLE_BLOCKS = {"hidden_size": 128, "intermediate_size": 192}  # NF4 on a CPU wants inputs of whole blocks of 64


@pytest.mark.parametrize("family", ["phi3", "qwen3"])
@pytest.mark.parametrize("bits", BITS)
def test_a_quantised_base_with_checkpointing_learns_through_its_gates(family: str, bits: str, tmp_path: Path) -> None:
    model(family, WHOLE_BLOCKS).save_pretrained(tmp_path)
    base = AutoModelForCausalLM.from_pretrained(tmp_path, quantization_config=BITS[bits])
    prepared = prepare_model_for_kbit_training(base, gradient_checkpointing_kwargs={"use_reentrant": False})
    gates = attach.attach(prepared, "all", alpha=0.0)
    wrapped = lora(prepared)
    plain = logits(wrapped)
    with attach.without(wrapped):
        assert torch.equal(logits(wrapped), plain)  # quantised, too: at identity no bit changes

    losses = learn(wrapped, steps=4)

    assert "bit" in type(attach.attentions(wrapped)[1].o_proj.base_layer).__name__
    assert losses[-1] < losses[0]
    for gate in gates.values():
        assert gate.theta.grad is not None and gate.theta.grad.isfinite().all() and gate.theta.abs().sum() > 0
