"""Arithmetic that gives the same bits each time: on a processor, with the same thread count and library versions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch


@contextmanager
def deterministic(threads: int, device: torch.device | None = None, matmul: str = "highest") -> Iterator[None]:
    """The thread count changes the order of sums; on a GPU, deterministic kernels cost too much to be demanded.

    `matmul` is torch's float32 matmul precision: with "medium", a processor that can multiplies in bfloat16.
    """
    filling: Any = torch.utils.deterministic
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), filling.fill_uninitialized_memory
    precision = torch.get_float32_matmul_precision()
    torch.set_num_threads(threads)
    torch.set_float32_matmul_precision(matmul)
    torch.use_deterministic_algorithms(device is None or device.type == "cpu")
    filling.fill_uninitialized_memory = False  # a net for operations that read what nobody wrote, at 6 % of a step
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.set_float32_matmul_precision(precision)
        torch.use_deterministic_algorithms(before[1])
        filling.fill_uninitialized_memory = before[2]
