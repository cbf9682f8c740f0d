"""What gates were worth where benchmarks/gates.py measured it: that a gate turns does not say that it helps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

_TABLE = files("so8t.report") / "look" / "gates.json"
_HEADS = {
    "budget": "budget",
    "what learns": "what learns",
    "parameters": "parameters",
    "loss": "held-out loss",
    "accuracy": "right class",
    "format_valid": "format kept",
    "angle": "mean angle, degrees",
}


@dataclass(frozen=True)
class Worth:
    """The table, and on what it was measured."""

    profile: str
    steps: int
    seeds: int
    held_out: int
    heads: tuple[str, ...]
    rows: tuple[Sequence[str], ...]


def measured() -> Worth:
    told: dict[str, Any] = json.loads(_TABLE.read_text("utf-8"))
    heads = tuple(_HEADS[name] for name in told.pop("columns"))
    return Worth(heads=heads, rows=tuple(map(tuple, told.pop("rows"))), **told)
