"""How far gates open while training warms up: alpha from its start to the gate's target, both ends exact."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

_STEEPNESS = 12.0  # of the S: its ends lie at 0.25 % and 99.75 % before they are stretched to 0 and 1


def logit(g: float) -> float:
    """The alpha whose sigmoid is g."""
    return math.log(g / (1 - g))


@dataclass(frozen=True)
class Annealing:
    """alpha by step: `start` up to step 0, logit(`gate`) from step `steps` on, monotonic between."""

    steps: int
    start: float = -5.0
    gate: float = 0.1
    shape: Literal["linear", "sigmoid"] = "linear"

    @property
    def end(self) -> float:
        return logit(self.gate)

    def alpha(self, step: int) -> float:
        if step >= self.steps:
            return self.end
        if step <= 0:
            return self.start
        done = step / self.steps
        return self.start + (self.end - self.start) * (done if self.shape == "linear" else _s_curve(done))


def _s_curve(done: float) -> float:
    low, high = _sigmoid(-_STEEPNESS / 2), _sigmoid(_STEEPNESS / 2)
    return (_sigmoid(_STEEPNESS * (done - 0.5)) - low) / (high - low)


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))
