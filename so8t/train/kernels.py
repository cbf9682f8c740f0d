"""Which fused kernels a run may try, and what it uses of them.  Pure: whoever asks says what is here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor

from so8t.gate import varlen
from so8t.train.losses import FusedLoss

Part = Literal["norms", "loss", "attention"]
PARTS: tuple[Part, ...] = ("norms", "loss", "attention")
ON = "on"


@dataclass(frozen=True)
class Here:
    """What decides it: the run, the base and the machine."""

    device: str
    family: str  # model_type of the base
    precision: str
    packing: bool
    attention: str
    row: int  # tokens of a row, at most
    window: int | None  # tokens that the base sees, where these are not all
    plain_head: bool  # logits are the head's product with the last hidden states, and nothing is done to them
    pairs: bool  # answers are compared one by one
    liger: Collection[str] | None  # families that the liger-kernel here knows; None: it is not installed
    varlen: bool  # this PyTorch has a kernel for conversations of many lengths
    divided: bool = False  # the base lies in parts on several GPUs


@dataclass(frozen=True)
class Kernels:
    """What the trainer uses; nothing of it by default."""

    loss: FusedLoss | None = None
    attention: bool = False

    def told(self, batch: Mapping[str, Tensor]) -> dict[str, Any]:
        """To the attention, of packed rows: they alone have positions that begin again."""
        return varlen.told(batch["sequence"]) if self.attention and "position_ids" in batch else {}


def choose(wanted: str, here: Here) -> dict[Part, str]:
    """By part: why it is not tried; empty where it is."""
    if here.device != "cuda":
        return dict.fromkeys(PARTS, f"the device is {here.device}")
    if wanted == "off":
        return dict.fromkeys(PARTS, "train.kernels is off")
    if here.divided:
        return dict.fromkeys(PARTS, "train.shard is full, and no GPU has the base to try them on")
    return {"norms": _liger(here), "loss": _loss(here), "attention": _attention(here)}


def verdict(difference: float, allowed: float) -> str:
    """Of a part that was tried on the first row; a difference that is not a number is too much."""
    if difference <= allowed:
        return ON
    return f"off: it moves loss or gradient by {difference:.1e} of their size, more than kernel_error ({allowed:g})"


def _liger(here: Here) -> str:
    if here.liger is None:
        return "liger-kernel is not installed: pip install 'so8t[cuda]' (Linux)"
    if here.family not in here.liger:
        return f"liger-kernel does not know {here.family}"
    return ""


def _loss(here: Here) -> str:
    if here.pairs:
        return "answers of a pair are compared one by one"
    if not here.plain_head:
        return f"{here.family} does something to its logits, or its head learns or has a bias"
    return "" if here.liger is not None else _liger(here)


def _attention(here: Here) -> str:
    if not here.packing:
        return "rows are not packed, and sdpa needs no mask then"
    if here.attention != "sdpa":
        return f"train.attention is {here.attention}"
    if here.precision == "float32":
        return "its kernel takes 16 bits, and precision is float32"
    if here.window is not None and here.window < here.row:
        return f"the base sees {here.window:,} tokens, and a row has {here.row:,}"
    return "" if here.varlen else "this PyTorch has no such kernel: it came with 2.11"
