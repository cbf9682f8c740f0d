"""Values as a GGUF stores them: from a few rows to their bytes.

q8_0 is llama.cpp's reference quantiser bit for bit: blocks of 32, a float16 scale, halves rounded away from zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from so8t.stream.buffers import Buffers

if TYPE_CHECKING:
    import numpy as np
    import torch

BLOCK = 32  # values of q8_0 that share a scale
BLOCK_BYTES = 34
_BELOW_HALF = 0.5 - 2**-25  # half itself would lift the float32 below 0.5 to 1
STRAIGHT = ("f32", "f16", "bf16", "q8_0")  # written here; every other type is llama.cpp's business


def size(kind: str, values: int) -> int:
    """Bytes of so many values."""
    return {"f32": 4 * values, "f16": 2 * values, "bf16": 2 * values, "q8_0": values // BLOCK * BLOCK_BYTES}[kind]


def fits(kind: str, row: int) -> bool:
    """Whether rows of this length can be stored so."""
    return kind != "q8_0" or row % BLOCK == 0


class Encoder:
    """Bytes of values; what a call returns is good until the next."""

    def __init__(self) -> None:
        self._buffers = Buffers()

    def encode(self, values: torch.Tensor, kind: str) -> np.ndarray:
        """The bytes of `values`, rows of one tensor."""
        import torch

        encoded = self._q8_0(values) if kind == "q8_0" else self.cast(values, kind)
        return encoded.reshape(-1).view(torch.uint8).numpy()

    def cast(self, values: torch.Tensor, kind: str) -> torch.Tensor:
        """`values` as f32, f16 or bf16."""
        import torch

        dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[kind]
        if values.dtype == dtype:
            return values.contiguous()
        if values.dtype == torch.bfloat16 and kind == "f16":  # directly, torch takes three times as long
            values = self._buffers.get("single", tuple(values.shape), torch.float32).copy_(values)
        return self._buffers.get(kind, tuple(values.shape), dtype).copy_(values)

    def _q8_0(self, values: torch.Tensor) -> torch.Tensor:
        import torch

        count = values.numel()
        steps = self._buffers.get("single", (count,), torch.float32).copy_(values.reshape(-1)).view(-1, BLOCK)
        other = self._buffers.get("other", (count // BLOCK, BLOCK), torch.float32)
        scale = torch.abs(steps, out=other).amax(dim=1, keepdim=True) / 127
        steps.mul_(torch.where(scale == 0, scale, 1 / scale))
        torch.copysign(torch.tensor(_BELOW_HALF), steps, out=other).add_(steps)
        whole = self._buffers.get("whole", (count // BLOCK, BLOCK), torch.int8).copy_(
            other
        )  # cuts off what is behind the point
        out = self._buffers.get("q8_0", (count // BLOCK, BLOCK_BYTES), torch.uint8)
        out[:, :2] = scale.to(torch.float16).view(torch.uint8)
        out[:, 2:] = whole.view(torch.uint8)
        return out


def interleave(values: torch.Tensor, heads: int) -> torch.Tensor:
    """Rows of q or k, from halves of a head side by side to neighbours that rotate together."""
    half = values.shape[0] // heads // 2
    return values.reshape(heads, 2, half, *values.shape[1:]).transpose(1, 2).reshape(values.shape)
