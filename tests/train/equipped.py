"""What lanes are tested with: little, for every process that helps imports it anew."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from so8t.models.lanes import Compute


@contextmanager
def equip(settings: Any) -> Iterator[tuple[list[nn.Parameter], Compute]]:
    """Two weights; the first one's gradient is the work itself, and work that equals the settings ends the process."""
    one, two = nn.Parameter(torch.zeros(3)), nn.Parameter(torch.ones(17, 2))

    def compute(work: float) -> float:
        if work == settings:
            sys.exit(7)
        (one.sum() * work).backward()
        return float(two.detach().sum())

    yield [one, two], compute
