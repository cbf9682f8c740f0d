"""Small real models of each family that carries gates: grouped queries, head_dim that is not hidden / heads."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    GemmaConfig,
    LlamaConfig,
    MistralConfig,
    Phi3Config,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

LAYERS, HIDDEN, HEADS, HEAD_DIM, WORDS = 4, 48, 4, 16, 97
DIM = HEADS * HEAD_DIM  # 64 into the output projection, of 48 hidden: they differ
SHAPE: dict[str, Any] = {
    "vocab_size": WORDS,
    "hidden_size": HIDDEN,
    "intermediate_size": 80,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "num_key_value_heads": 2,
    "head_dim": HEAD_DIM,
    "max_position_embeddings": 64,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
FAMILIES: dict[str, PretrainedConfig] = {
    "phi3": Phi3Config(**SHAPE),
    "llama": LlamaConfig(**SHAPE),
    "qwen2": Qwen2Config(**SHAPE),
    "qwen3": Qwen3Config(**SHAPE),
    "mistral": MistralConfig(**SHAPE, sliding_window=5),
    "gemma": GemmaConfig(**SHAPE),
    "gemma2": Gemma2Config(**SHAPE, sliding_window=5, query_pre_attn_scalar=16),
    "gemma3": Gemma3TextConfig(**SHAPE, sliding_window=5, query_pre_attn_scalar=16),
}


def model(family: str, shape: dict[str, Any] | None = None, **options: Any) -> Any:
    """A model with weights large enough that its attention matters; the same each time."""
    torch.manual_seed(7)
    config = type(FAMILIES[family]).from_dict({**FAMILIES[family].to_dict(), **(shape or {})})
    made = AutoModelForCausalLM.from_config(config, **options).eval()
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if parameter.dim() == 2 and "embed" not in name:
                parameter.mul_(4)
    return made


def tokens(batch: int = 2, length: int = 11) -> Tensor:
    return torch.randint(3, WORDS, (batch, length), generator=torch.Generator().manual_seed(1))


def open_up(gates: dict[int, Any], alpha: float = 1.0, spread: float = 0.4) -> None:
    """Turn gates visibly away from the identity, each in its own way."""
    with torch.no_grad():
        for layer, gate in gates.items():
            generator = torch.Generator().manual_seed(layer)
            gate.set_alpha(alpha)
            for name, parameter in gate.named_parameters():
                if name != "alpha":
                    parameter.copy_(spread * torch.randn(parameter.shape, generator=generator))
