"""The base model in memory: as its checkpoint has it, in another precision, or quantised by bitsandbytes."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from so8t.errors import MissingExtra, StageError

Bits = Literal["none", "int8", "nf4"]
Precision = Literal["float32", "bfloat16", "float16"]
_BLOCK = 64  # bitsandbytes' NF4 kernels for a CPU take inputs of whole blocks


def load(
    folder: Path,
    precision: Precision | Literal["auto"] = "auto",
    quantise: Bits = "none",
    device: torch.device | None = None,
    remote_code: bool = False,
    attention: str = "sdpa",
) -> Any:
    """The checkpoint on its device, frozen, with attention that carries gates; auto: in its own precision."""
    from transformers import AutoModelForCausalLM

    device = device or torch.device("cpu")
    if precision == "float16" and device.type == "cpu":
        raise StageError("adapter.precision: float16 needs a GPU: take bfloat16 or float32 on a processor")
    dtype = precision if precision == "auto" else getattr(torch, precision)
    model: Any = AutoModelForCausalLM.from_pretrained(
        str(folder),
        dtype=dtype,
        quantization_config=_quantisation(quantise, dtype),
        device_map={"": device},
        attn_implementation=attention,
        local_files_only=True,
        trust_remote_code=remote_code,
    )
    model.config.use_cache = False
    model.requires_grad_(False)
    if quantise == "nf4" and device.type == "cpu":
        _check_blocks(model)
        _keep_plain(model)
    return model


def _quantisation(bits: Bits, dtype: Any) -> Any:
    from transformers import BitsAndBytesConfig

    if bits == "none":
        return None
    if importlib.util.find_spec("bitsandbytes") is None:
        raise MissingExtra("bitsandbytes", "train", f"adapter.quantise: {bits}")
    if bits == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def _keep_plain(model: nn.Module) -> None:
    """Where a processor has AVX-512 for bfloat16, bitsandbytes packs 4-bit weights at the first look in eval mode.

    They stay packed, and what packed weights compute has no gradient: after a validation, training would learn
    something else, and a run that was continued something else again.
    """
    modules: Iterable[Any] = model.modules()
    for module in modules:
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _check_blocks(model: nn.Module) -> None:
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and "4bit" in type(module).__name__ and module.in_features % _BLOCK:
            raise StageError(
                f"adapter.quantise: nf4 on a CPU takes widths that are multiples of {_BLOCK}, and {name} has "
                f"{module.in_features}: take int8 or none, or a GPU"
            )
