"""Schedules of what goes wrong while a node builds, drawn from a seed.  Pure."""

from __future__ import annotations

import random
from dataclasses import dataclass

KINDS = {
    "driver": "doit is killed",
    "job": "the process that builds is killed",
    "node": "all of the job is killed, and what its machine had is gone",
    "head": "the head is started anew and knows no job",
    "cable": "the machine loses the store, and the head the machine",
    "slow": "all that a machine hears from the store comes late",
    "busy": "the store answers that it is too busy",
}


@dataclass(frozen=True)
class Fault:
    kind: str
    after: float  # seconds since somebody was seen to build
    lasting: float  # seconds, of a cable and a store that is slow or busy


def schedule(seed: int, count: int = 3) -> tuple[Fault, ...]:
    dice = random.Random(seed)
    return tuple(
        Fault(dice.choice(list(KINDS)), round(dice.uniform(0, 1), 3), round(dice.uniform(0.5, 6), 3))
        for _ in range(count)
    )
