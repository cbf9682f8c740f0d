"""Phi-3 with gates as classes of its own, so that a gated model saves and loads with AutoModel; known on import.

Everything is Phi-3's but the gate: the attention interface applies `so8_gate`, and no forward is rewritten.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, Phi3Config, Phi3ForCausalLM, Phi3Model
from transformers.models.phi3.modeling_phi3 import Phi3Attention, Phi3DecoderLayer, Phi3PreTrainedModel

from so8t.gate import attach
from so8t.gate.layer import START, Gate


class SO8TPhi3Config(Phi3Config):
    """Phi-3's configuration, the gates' kind, their layers and the alpha they start with."""

    model_type = "so8t_phi3"
    so8_kind: str = "geodesic"
    so8_layers: str | list[int] = "intermediate"
    so8_alpha: float = START

    @property
    def gated_layers(self) -> tuple[int, ...]:
        layers: Any = self.so8_layers
        return attach.choose(layers, self.num_hidden_layers, range(self.num_hidden_layers))


class SO8TPhi3Attention(Phi3Attention):
    def __init__(self, config: SO8TPhi3Config, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        if layer_idx in config.gated_layers:
            self.so8_gate = Gate(self.o_proj.in_features, config.so8_kind, config.so8_alpha)


class SO8TPhi3DecoderLayer(Phi3DecoderLayer):
    def __init__(self, config: SO8TPhi3Config, layer_idx: int) -> None:
        super().__init__(config, layer_idx)
        self.self_attn = SO8TPhi3Attention(config, layer_idx)


class SO8TPhi3PreTrainedModel(Phi3PreTrainedModel):
    config: SO8TPhi3Config
    config_class = SO8TPhi3Config
    _no_split_modules: list[str] = ["SO8TPhi3DecoderLayer"]  # noqa: RUF012 - declared so by transformers
    _keep_in_fp32_modules_strict: list[str] = ["so8_gate"]  # noqa: RUF012

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """A Phi-3 checkpoint without gates becomes this model with gates at identity."""
        super()._init_weights(module)
        if isinstance(module, Gate):
            module.reset()
            module.set_alpha(self.config.so8_alpha)


class SO8TPhi3Model(SO8TPhi3PreTrainedModel, Phi3Model):
    def __init__(self, config: SO8TPhi3Config) -> None:
        super().__init__(config)
        self.layers = nn.ModuleList(SO8TPhi3DecoderLayer(config, layer) for layer in range(config.num_hidden_layers))
        attach.route(self)
        self.post_init()


class SO8TPhi3ForCausalLM(SO8TPhi3PreTrainedModel, Phi3ForCausalLM):
    def __init__(self, config: SO8TPhi3Config) -> None:
        super().__init__(config)
        self.model = SO8TPhi3Model(config)
        self.post_init()


AutoConfig.register(SO8TPhi3Config.model_type, SO8TPhi3Config, exist_ok=True)
AutoModel.register(SO8TPhi3Config, SO8TPhi3Model, exist_ok=True)
AutoModelForCausalLM.register(SO8TPhi3Config, SO8TPhi3ForCausalLM, exist_ok=True)
