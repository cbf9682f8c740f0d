"""Memory for passing results, a thread's own and used again: fresh pages cost more than simple arithmetic on them."""

from __future__ import annotations

import threading
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch


class Buffers(threading.local):
    def __init__(self) -> None:
        self._kept: dict[tuple[str, torch.dtype], torch.Tensor] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> torch.Tensor:
        """A tensor of any content; it is this thread's until it asks for the name again."""
        import torch

        count = prod(shape)
        buffer = self._kept.get((name, dtype))
        if buffer is None or len(buffer) < count:
            buffer = self._kept[name, dtype] = torch.empty(count, dtype=dtype)
        return buffer[:count].view(shape)
