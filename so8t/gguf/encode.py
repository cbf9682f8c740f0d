"""Values as a GGUF stores them: pure functions from a few rows to their bytes.

q8_0 is llama.cpp's reference quantiser bit for bit: blocks of 32, a float16 scale, halves rounded away from zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import torch

BLOCK = 32  # values of q8_0 that share a scale
BLOCK_BYTES = 34
STRAIGHT = ("f32", "f16", "bf16", "q8_0")  # written here; every other type is llama.cpp's business


def size(kind: str, values: int) -> int:
    """Bytes of so many values."""
    return {"f32": 4 * values, "f16": 2 * values, "bf16": 2 * values, "q8_0": values // BLOCK * BLOCK_BYTES}[kind]


def fits(kind: str, row: int) -> bool:
    """Whether rows of this length can be stored so."""
    return kind != "q8_0" or row % BLOCK == 0


def encode(values: torch.Tensor, kind: str) -> np.ndarray:
    """The bytes of `values`, rows of one tensor."""
    import torch

    if kind == "q8_0":
        return _q8_0(values)
    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[kind]
    return values.to(dtype).contiguous().reshape(-1).view(torch.uint8).numpy()


def _q8_0(values: torch.Tensor) -> np.ndarray:
    import torch

    blocks = values.to(torch.float32).reshape(-1, BLOCK)
    scale = blocks.abs().amax(dim=1, keepdim=True) / 127
    steps = blocks * torch.where(scale == 0, scale, 1 / scale)
    away = steps.abs()
    below = away.floor()
    rounded = (below + (2 * (away - below)).floor()) * steps.sign()
    out = torch.empty((len(blocks), BLOCK_BYTES), dtype=torch.uint8)
    out[:, :2] = scale.to(torch.float16).view(torch.uint8)
    out[:, 2:] = rounded.to(torch.int8).view(torch.uint8)
    return out.reshape(-1).numpy()


def is_finite(values: torch.Tensor) -> bool:
    """Neither infinite nor no number: the ends tell, and finding them is far faster than asking every value."""
    import torch

    low, high = torch.aminmax(values)
    return bool(torch.isfinite(low)) and bool(torch.isfinite(high))


def interleave(values: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of q or k, from halves of a head side by side to neighbours that rotate together."""
    half = values.shape[0] // heads // 2
    return values.reshape(heads, 2, half, *values.shape[1:]).transpose(1, 2).reshape(values.shape)
