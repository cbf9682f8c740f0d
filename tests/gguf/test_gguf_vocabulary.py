"""Names, sizes and kinds of tokens, where a small model cannot show them."""

from __future__ import annotations

import hashlib

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from so8t.errors import StageError
from so8t.formats import structure
from so8t.gguf import bytelevel, hyperparameters, metadata, names

LLAMA31 = {
    "architectures": ["LlamaForCausalLM"],
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "head_dim": 128,
    "rope_parameters": {
        "rope_type": "llama3",
        "rope_theta": 500000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    },
}


def test_llama31_stretches_slow_rotations_only() -> None:
    ((name, values),) = hyperparameters.rope_tensors(LLAMA31, names.family("LlamaForCausalLM"))

    assert name == "rope_freqs.weight"
    assert (len(values), values[:28], values[-29:]) == (64, [1.0] * 28, [8.0] * 29)
    model = LlamaConfig(**{key: value for key, value in LLAMA31.items() if key != "architectures"})
    stretched, _ = ROPE_INIT_FUNCTIONS["llama3"](model, "cpu")
    plain = 1 / 500000.0 ** (torch.arange(0, 128, 2) / 128)
    torch.testing.assert_close(torch.tensor(values), plain / stretched)


def test_rope_factors_of_another_length_are_refused() -> None:
    config = {
        "hidden_size": 64,
        "num_attention_heads": 4,
        "rope_parameters": {"rope_type": "longrope", "long_factor": [1.0] * 8, "short_factor": [1.0] * 7},
    }

    with pytest.raises(StageError, match="gguf: rope's short_factor has 7 values, the heads need 8"):
        hyperparameters.rope_tensors(config, names.family("Phi3ForCausalLM"))


@pytest.mark.parametrize(
    ("parameters", "label"),
    [(3_821_079_552, "3.8B"), (8_030_261_248, "8.0B"), (70_553_706_496, "71B"), (311_616, "312K"), (1_500_000, "1.5M")],
)
def test_a_size_has_two_digits(parameters: int, label: str) -> None:
    assert metadata.size_label(parameters) == label


def test_gemma_adds_one_to_every_norm() -> None:
    gemma = names.family("Gemma2ForCausalLM")

    assert names.conversion("model.layers.3.pre_feedforward_layernorm.weight", gemma) == names.Conversion(
        "blk.3.ffn_norm.weight", "", 1.0
    )
    assert names.conversion("model.norm.weight", gemma) == names.Conversion("output_norm.weight", "", 1.0)
    assert names.conversion("lm_head.weight", gemma) is None


def test_only_llama_reorders_the_rows_of_q_and_k() -> None:
    found = {
        model: [
            getattr(names.conversion(f"model.layers.0.self_attn.{part}_proj.{kind}", names.family(model)), "rows", None)
            for part, kind in (("q", "weight"), ("k", "bias"), ("v", "weight"))
        ]
        for model in ("LlamaForCausalLM", "MistralForCausalLM", "Qwen2ForCausalLM")
    }

    assert found == {
        "LlamaForCausalLM": ["query", "key", ""],
        "MistralForCausalLM": ["query", "key", ""],
        "Qwen2ForCausalLM": ["", "", ""],
    }


@pytest.mark.parametrize(
    ("token", "special"),
    [("<|end|>", True), ("<｜end｜>", True), ("<unused7>", True), ("<think-task>", False), ("</final>", False)],
)
def test_thinking_tags_do_not_look_special(token: str, special: bool) -> None:
    assert structure.looks_special(token) is special


def test_the_trial_text_is_llama_cpps() -> None:
    """A changed character would change every hash."""
    assert len(bytelevel.TRIAL) == 350
    assert (
        hashlib.sha256(bytelevel.TRIAL.encode()).hexdigest()
        == "a36179c1e2b1cfcfbfad1dc779addad2ffc778201e4cf0d538bddeafa2c526da"
    )
