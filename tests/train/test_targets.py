"""Where LoRA goes: found per architecture, and never silently nowhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, BitsAndBytesConfig

from so8t.errors import StageError
from so8t.gate import attach
from so8t.train import lora, targets
from so8t.train.settings import Lora
from tests.gate.families import FAMILIES, model

SPLIT = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
FUSED = ["down_proj", "gate_up_proj", "o_proj", "qkv_proj"]


@pytest.mark.parametrize("family", FAMILIES)
def test_all_projections_of_every_layer_are_found(family: str) -> None:
    made = model(family)
    chosen = targets.choose(made, ())
    assert chosen == (FUSED if family == "phi3" else SPLIT)

    wrapped = lora.add_lora(made, Lora(r=2, alpha=4), seed=0)
    low_rank = [name for name, _ in wrapped.named_parameters() if "lora_A" in name]
    assert len(low_rank) == 4 * len(chosen) and not any("lm_head" in name for name in low_rank)


def test_a_target_that_matches_nothing_lists_what_there_is() -> None:
    with pytest.raises(StageError) as caught:
        targets.choose(model("phi3"), ["qkv_proj", "gate_proj", "up_proj"])
    assert str(caught.value) == (
        "lora.targets: this Phi3ForCausalLM has no module gate_proj, up_proj; its layers have "
        "down_proj (x4), gate_up_proj (x4), o_proj (x4), qkv_proj (x4)"
    )


def test_targets_match_the_end_of_a_name_as_in_peft() -> None:
    made = model("llama")
    assert targets.choose(made, ["self_attn.o_proj", "model.layers.1.mlp.up_proj"]) == [
        "self_attn.o_proj",
        "model.layers.1.mlp.up_proj",
    ]
    with pytest.raises(StageError, match=r"^lora.targets: this LlamaForCausalLM has no module attn.o_proj;"):
        targets.choose(made, ["attn.o_proj"])
    wrapped = lora.add_lora(made, Lora(r=2, targets=("self_attn.o_proj",)), seed=0)
    assert sum("lora_A" in name for name, _ in wrapped.named_parameters()) == 4


def test_embeddings_and_head_carry_lora_where_they_are_named() -> None:
    made = model("llama")
    assert targets.choose(made, ["embed_tokens", "lm_head"]) == ["embed_tokens", "lm_head"]

    wrapped = lora.add_lora(made, Lora(r=2, targets=("o_proj", "embed_tokens", "lm_head")), seed=0)
    low_rank = [name for name in lora.trainable(wrapped) if "layers" not in name]
    assert low_rank == [
        "base_model.model.model.embed_tokens.lora_embedding_A.default",
        "base_model.model.model.embed_tokens.lora_embedding_B.default",
        "base_model.model.lm_head.lora_A.default.weight",
        "base_model.model.lm_head.lora_B.default.weight",
    ]


def test_embeddings_with_dora_are_refused_before_they_are_trained() -> None:
    with pytest.raises(StageError) as caught:
        lora.add_lora(model("llama"), Lora(r=2, dora=True, targets=("o_proj", "embed_tokens")), seed=0)
    assert str(caught.value) == (
        "lora.targets: embed_tokens with lora.dora is not merged: take one of them out of the adapter's spec"
    )


def test_a_quantised_base_has_the_same_projections(tmp_path: Path) -> None:
    model("phi3", {"hidden_size": 128}).save_pretrained(tmp_path)
    made: Any = AutoModelForCausalLM.from_pretrained(
        tmp_path, quantization_config=BitsAndBytesConfig(load_in_8bit=True)
    )
    assert targets.choose(made, ()) == FUSED


def test_gates_are_no_targets() -> None:
    made = model("phi3")
    attach.attach(made, "all")
    assert targets.choose(made, ()) == FUSED
