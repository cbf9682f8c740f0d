"""AdamW in one of its forms, with the gates in a group of their own, and rows of embeddings in another."""

from __future__ import annotations

import importlib.util
from typing import Any

import torch
from torch import nn

from so8t.errors import MissingExtra, StageError
from so8t.train.lora import is_gate, is_row, trainable
from so8t.train.settings import Gates, Train

FORMS = {"adamw": "AdamW", "adamw8bit": "AdamW8bit", "paged_adamw8bit": "PagedAdamW8bit"}


def choose(wanted: str, device: torch.device) -> tuple[str, str]:
    """The form, and why it was taken."""
    if wanted != "auto":
        return wanted, "the spec says so"
    if device.type != "cuda":
        return "adamw", f"the device is {device.type}: there is memory for full moments"
    if importlib.util.find_spec("bitsandbytes") is None:
        return "adamw", "bitsandbytes is not installed"
    return "paged_adamw8bit", "the device is CUDA: 8-bit moments, paged out when memory is short"


def groups(model: nn.Module, train: Train, gates: Gates) -> list[dict[str, Any]]:
    """Gates have their own rate and no decay: decay would pull rotations back to the identity, and rows to nought."""
    learning = trainable(model)
    turning = [parameter for name, parameter in learning.items() if is_gate(name)]
    rows = [parameter for name, parameter in learning.items() if is_row(name)]
    low_rank = [parameter for name, parameter in learning.items() if not is_gate(name) and not is_row(name)]
    made = [{"params": low_rank, "lr": train.learning_rate, "weight_decay": train.weight_decay}]
    if turning:
        made.append({"params": turning, "lr": gates.learning_rate, "weight_decay": 0.0})
    if rows:
        made.append({"params": rows, "lr": train.learning_rate, "weight_decay": 0.0})
    return made


def create(form: str, model: nn.Module, train: Train, gates: Gates, device: torch.device) -> torch.optim.Optimizer:
    if form == "adamw":
        return torch.optim.AdamW(groups(model, train, gates), betas=train.betas, fused=True)
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtra("bitsandbytes", "train", f"train.optimizer: {form}")
    if form.startswith("paged") and device.type != "cuda":
        raise StageError(f"train.optimizer: {form} needs CUDA, whose memory it pages; take adamw8bit or adamw")
    import bitsandbytes

    manager = bitsandbytes.optim.GlobalOptimManager.get_instance()
    for name, parameter in trainable(model).items():
        if is_gate(name) or is_row(name):  # few and sensitive: their moments stay whole
            manager.override_config(parameter, "optim_bits", 32)
    made: torch.optim.Optimizer = getattr(bitsandbytes.optim, FORMS[form])(
        groups(model, train, gates), betas=train.betas
    )
    return made
