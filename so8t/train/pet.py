"""PET: a penalty on the second difference of the last hidden states along time, and its phases. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Form = Literal["l2", "huber"]


@dataclass(frozen=True)
class Phase:
    name: str
    until: int  # percent of training
    weight: float


PHASES = (Phase("exploration", 20, 0.01), Phase("transition", 60, 0.05), Phase("stabilisation", 100, 0.1))


def phase(step: int, steps: int, phases: tuple[Phase, ...] = PHASES) -> Phase:
    """The phase of step 0 .. steps - 1; in whole numbers, so that no rounding moves a border."""
    return next((each for each in phases if 100 * step < each.until * steps), phases[-1])


def triples(real: Tensor) -> Tensor:
    """Where three neighbours belong to one sequence, (batch, time - 2); `real` as `pet` takes it."""
    return (real[:, 1:-1] != 0) & (real[:, :-2] == real[:, 1:-1]) & (real[:, 1:-1] == real[:, 2:])


def pet(hidden: Tensor, real: Tensor, form: Form = "l2", delta: float = 1.0) -> Tensor:
    """Mean over real triples of neighbours, and over dimensions, of the square (or Huber) of h[t-1] - 2 h[t] + h[t+1].

    hidden is (batch, time, dim). real is (batch, time): 0 at padding; 1 elsewhere, or each packed sequence's number,
    for a triple never crosses from one sequence to the next. Without any triple it is zero, and still differentiable.
    """
    exact = torch.promote_types(hidden.dtype, torch.float32)
    # masked before the difference: a NaN in a padded state, times zero, would stay a NaN
    states = hidden.masked_fill((real == 0)[..., None], 0).to(exact)
    bend = states[:, :-2] - 2 * states[:, 1:-1] + states[:, 2:]
    inside = triples(real)
    per_token = (bend.square() if form == "l2" else _huber(bend, delta)).mean(-1)
    return (per_token * inside).sum() / inside.sum().clamp(min=1)


def _huber(bend: Tensor, delta: float) -> Tensor:
    """Quadratic up to delta, linear beyond, with the slope of l2's square where they meet."""
    return 2 * torch.nn.functional.huber_loss(bend, torch.zeros_like(bend), reduction="none", delta=delta)
