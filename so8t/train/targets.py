"""Which modules carry LoRA: the projections of the decoder's layers, or those that the spec names, all found.

Embeddings and head carry it where they are named.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from so8t.errors import StageError
from so8t.gate import attach


def projections(model: nn.Module) -> Counter[str]:
    """The linear modules of the decoder layers by the last part of their names, and how many there are of each."""
    return Counter(name.rpartition(".")[2] for name in _linear(model))


def choose(model: nn.Module, wanted: Sequence[str], dora: bool = False) -> list[str]:
    """PEFT's target_modules: all projections, or `wanted`, where a name that matches nothing is an error."""
    there = projections(model)
    if not wanted:
        return sorted(there)
    kinds = {name: type(module) for name, module in model.named_modules() if _can_carry(module)}
    _check_dora(kinds, wanted, dora)
    missing = [target for target in wanted if not any(_matches(name, target) for name in kinds)]
    if missing:
        raise StageError(
            f"lora.targets: this {type(model).__name__} has no module {', '.join(missing)}; its layers have "
            + ", ".join(f"{name} (x{count})" for name, count in sorted(there.items()))
        )
    return list(wanted)


def _check_dora(kinds: Mapping[str, type], wanted: Sequence[str], dora: bool) -> None:
    looked_up = [name for name, kind in kinds.items() if issubclass(kind, nn.Embedding)]
    if dora and (both := [target for target in wanted if any(_matches(name, target) for name in looked_up)]):
        raise StageError(
            f"lora.targets: {', '.join(both)} with lora.dora is not merged: take one of them out of the adapter's spec"
        )


def _linear(model: nn.Module) -> list[str]:
    """Names of linear modules that lie in a decoder layer: lm_head and the like are none."""
    layers = _layers(model)
    return [
        name
        for name, module in model.named_modules()
        if _is_linear(module) and any(name.startswith(layer) for layer in layers)
    ]


def _layers(model: nn.Module) -> tuple[str, ...]:
    """The decoder layers' names, with a dot: an attention module's parent."""
    return tuple(f"{name.rpartition('.')[0]}." for name in attach.names(model).values())


def _can_carry(module: Any) -> bool:
    return _is_linear(module) or isinstance(module, nn.Embedding)


def _is_linear(module: Any) -> bool:
    """torch's Linear, and bitsandbytes', which are subclasses of it; not the low-rank parts of an adapter."""
    return isinstance(module, nn.Linear)


def _matches(name: str, target: str) -> bool:
    """As PEFT does: the whole name, or its end behind a dot."""
    return name == target or name.endswith(f".{target}")
