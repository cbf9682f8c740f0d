"""What learns: LoRA on the base's projections, and its gates."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from so8t.models.facts import UNNAMED, Called
from so8t.models.loading import Bits
from so8t.train import targets
from so8t.train.settings import Lora, Train


def device(settings: Train) -> torch.device:
    if settings.device == "auto" and torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("cpu")


def add_lora(model: nn.Module, lora: Lora, seed: int, called: Called = UNNAMED) -> Any:
    """The same first weights for a seed, whatever was drawn before."""
    from peft import LoraConfig, get_peft_model

    chosen = targets.choose(model, lora.targets, lora.dora)
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,  # type: ignore[arg-type]  # it is divided by r, and may be a fraction
        lora_dropout=lora.dropout,
        target_modules=chosen,
        use_rslora=lora.rslora,
        use_dora=lora.dora,
        rank_pattern=dict(lora.rank_pattern),
        alpha_pattern=dict(lora.alpha_pattern),
        bias="none",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        wrapped: Any = get_peft_model(model, config)
    config.base_model_name_or_path, config.revision = called.name, called.revision  # PEFT's is this machine's path
    # PEFT keeps the targets as a set, and writes them in the order of their hashes
    config.target_modules = sorted(config.target_modules or ())
    return wrapped


def ready(model: Any, quantise: Bits, gradient_checkpointing: bool) -> None:
    """For checkpointing, inputs need a gradient, or the frozen embedding would cut the first layers off."""
    if gradient_checkpointing or quantise != "none":
        model.enable_input_require_grads()
    if gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    model.train()


def trainable(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}


def is_gate(name: str) -> bool:
    return ".so8_gate." in name
