"""Arithmetic that gives the same bits each time: on a processor, with the same thread count and library versions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deterministic(threads: int, place: torch.device) -> Iterator[None]:
    """The thread count changes the order of sums; on a GPU, deterministic kernels cost too much to be demanded."""
    before = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(place.type == "cpu")
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1])
