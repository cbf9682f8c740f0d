"""Whether weights are numbers: the ends tell, and finding them is far faster than asking every value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from so8t.errors import StageError

if TYPE_CHECKING:
    import torch

    from so8t.weights.reader import Checkpoint


def is_sound(values: torch.Tensor) -> bool:
    """Neither infinite nor NaN: one pass, and no memory."""
    if not values.numel():
        return True
    low, high = values.aminmax()
    return bool(low.isfinite() & high.isfinite())


def check_sound(values: torch.Tensor, tensors: Checkpoint, name: str) -> None:
    if not is_sound(values):
        raise StageError(f"{tensors.file(name)}: tensor {name} has values that are infinite or NaN")
