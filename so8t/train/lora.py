"""What learns: LoRA on the base's projections, the rows of tokens that it was given, and its gates."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from torch import nn

from so8t.errors import StageError
from so8t.models.facts import UNNAMED, Called
from so8t.models.loading import Bits
from so8t.train import targets
from so8t.train.settings import Lora, Train


def device(settings: Train) -> torch.device:
    """The device that the spec names; of several GPUs no other one is touched."""
    if settings.device == "cpu" or (settings.device == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if number := settings.device.partition(":")[2]:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.split(",")[int(number)] if visible else number
    if not torch.cuda.is_available():
        raise StageError(f"train.device: {settings.device} is not to be had; doit doctor says why")
    return torch.device("cuda")


def add_lora(model: nn.Module, lora: Lora, seed: int, called: Called = UNNAMED, added: Sequence[int] = ()) -> Any:
    """The same first weights for a seed, whatever was drawn before; `added` are tokens that the base was given."""
    from peft import LoraConfig, get_peft_model

    chosen = targets.choose(model, lora.targets, lora.dora)
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,  # it is divided by r, and may be a fraction
        lora_dropout=lora.dropout,
        target_modules=chosen,
        use_rslora=lora.rslora,
        use_dora=lora.dora,
        rank_pattern=dict(lora.rank_pattern),
        alpha_pattern=dict(lora.alpha_pattern),
        bias="none",
        task_type="CAUSAL_LM",
        **_vocabulary(model, lora, added),
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        wrapped: Any = get_peft_model(model, config)
    config.base_model_name_or_path, config.revision = called.name, called.revision  # PEFT's is this machine's path
    # PEFT keeps the targets as a set, and writes them in the order of their hashes
    config.target_modules = sorted(config.target_modules or ())
    if config.modules_to_save:
        config.modules_to_save = sorted(config.modules_to_save)
    return wrapped


def _vocabulary(model: Any, lora: Lora, added: Sequence[int]) -> dict[str, Any]:
    """PEFT's settings for embeddings and head; a head that shares their weights goes on sharing them."""
    if lora.tokens == "none" or (lora.tokens == "rows" and not added):
        return {}
    named = {id(module): name.rpartition(".")[2] for name, module in model.named_modules()}
    tied = bool(getattr(model.config, "tie_word_embeddings", False))
    parts = [model.get_input_embeddings(), *([] if tied else [model.get_output_embeddings()])]
    names = [named[id(part)] for part in parts]
    if both := sorted(set(names) & set(lora.targets)):
        raise StageError(
            f"lora.targets: {', '.join(both)} learns as lora.tokens: {lora.tokens} says, and not with LoRA, too: "
            "take it out of the targets, or set tokens: none"
        )
    if lora.tokens == "rows":
        return {"trainable_token_indices": {name: list(added) for name in names}}
    if parts[0].weight.dtype != torch.float32:
        raise StageError(
            "lora.tokens: whole trains embeddings and head as they are, and in 16 bits small steps would be lost: "
            "set precision: float32, or tokens: rows"
        )
    return {"modules_to_save": names, "ensure_weight_tying": tied}


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


def is_row(name: str) -> bool:
    """Of embeddings or head, whole or in part."""
    return ".trainable_tokens_delta." in name or ".modules_to_save." in name
