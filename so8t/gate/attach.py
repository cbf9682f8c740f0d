"""Put gates on a decoder's attention layers, find them again, and take them off.

Any model that calls transformers' attention interface and has an `o_proj` in its attention modules carries gates:
plain, quantised by bitsandbytes, or wrapped by PEFT. Gates go on after quantisation; PEFT may come before or after.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Literal

import torch
from torch import nn

from so8t.errors import StageError
from so8t.gate.attention import PREFIX, base_of, register
from so8t.gate.layer import START, Gate, alike, matrices

Layers = Literal["all", "intermediate"] | Sequence[int]


def attentions(model: nn.Module) -> dict[int, Any]:
    """The decoder's attention modules by layer: those with an output projection and a place among the layers."""
    found: dict[int, Any] = {}
    for name, module in model.named_modules():
        layer = getattr(module, "layer_idx", None)
        if not isinstance(layer, int) or not isinstance(getattr(module, "o_proj", None), nn.Module):
            continue
        if layer in found:
            raise StageError(f"{type(model).__name__} has two attention modules at layer {layer}, one is {name}")
        found[layer] = module
    if not found:
        raise StageError(
            f"{type(model).__name__} has no attention module with an o_proj: gates act on the input of that projection"
        )
    return dict(sorted(found.items()))


def choose(layers: Layers, count: int, present: Iterable[int]) -> tuple[int, ...]:
    """Layer numbers for `all`, `intermediate` (all but the first and the last of `count`) or a list."""
    present = sorted(present)
    if layers == "all":
        return tuple(present)
    if layers == "intermediate":
        return tuple(layer for layer in present if 0 < layer < count - 1)
    wanted = sorted(set(layers))
    if strange := [layer for layer in wanted if layer not in present]:
        raise StageError(f"gates.layers: no attention at layer {_listed(strange)}; there is at {_listed(present)}")
    return tuple(int(layer) for layer in wanted)


def attach(
    model: nn.Module,
    layers: Layers = "intermediate",
    kind: str = "geodesic",
    alpha: float = START,
) -> dict[int, Gate]:
    """Gates at identity on the chosen layers, by layer; the model computes what it computed, bit for bit."""
    if gates(model):
        raise StageError(f"{type(model).__name__} has gates already: detach them first")
    config = text_config(model)
    modules = attentions(model)
    chosen = choose(layers, config.num_hidden_layers, modules)
    made = {layer: _gate(modules[layer], layer, kind, alpha) for layer in chosen}
    route(model)
    for layer, gate in made.items():
        modules[layer].so8_gate = gate
    return made


def route(model: nn.Module, base: str | None = None) -> None:
    """Send every attention call of the model through its gated counterpart, and refuse calls that go another way.

    `base` is the attention below, if it shall be another one.
    """
    for config in _configs(model):
        name = register(base or base_of(config._attn_implementation))
        # not set_attn_implementation: it reads the class's source to decide whether it may, and skips with a warning
        config._attn_implementation_internal = name
    for module in attentions(model).values():
        if not hasattr(module, "so8_guard"):
            module.so8_guard = module.register_forward_pre_hook(_check_no_detour)


def detach(model: nn.Module) -> None:
    """Take the gates off: the model is what it was."""
    for module in attentions(model).values():
        if hasattr(module, "so8_gate"):
            del module.so8_gate
        if hasattr(module, "so8_guard"):
            module.so8_guard.remove()
            del module.so8_guard
    for config in _configs(model):
        config._attn_implementation_internal = base_of(config._attn_implementation)


def gates(model: nn.Module) -> dict[int, Gate]:
    """The gates of a model by layer, through whatever wraps it; none, where none are."""
    modules: Iterable[Any] = model.modules()
    found = {m.layer_idx: m.so8_gate for m in modules if isinstance(getattr(m, "so8_gate", None), Gate)}
    return dict(sorted(found.items()))


def names(model: nn.Module) -> dict[int, str]:
    """The attention modules' names by layer as the checkpoint has them, without PEFT's prefix."""
    modules = {id(module): layer for layer, module in attentions(model).items()}
    named = {modules[id(module)]: name for name, module in model.named_modules() if id(module) in modules}
    return {layer: named[layer].removeprefix("base_model.model.") for layer in sorted(named)}


def train(found: Mapping[int, Gate], alpha: bool = True) -> list[nn.Parameter]:
    """Let gates learn, which PEFT froze with all else; alpha too, or not. The parameters that do, by layer."""
    for gate in found.values():
        for name, parameter in gate.named_parameters():
            parameter.requires_grad_(alpha or name != "alpha")
    return [parameter for gate in found.values() for parameter in gate.parameters() if parameter.requires_grad]


@contextmanager
def computed_once(model: nn.Module) -> Iterator[None]:
    """For generation and evaluation: each gate's matrix is computed once, not per token. Nothing may train inside."""
    found = gates(model).values()
    try:
        for gate in found:
            gate.compute_once()
        with torch.no_grad():
            yield
    finally:
        for gate in found:
            gate.compute_once(False)


@contextmanager
def shared(found: Iterable[Gate]) -> Iterator[None]:
    """For one forward and its backward: the matrices of all gates by one exponential, which the losses see too."""
    gates = list(found)
    try:
        for some in alike(gates):
            for gate, matrix in zip(some, matrices(some), strict=True):
                gate.share(matrix)
        yield
    finally:
        for gate in gates:
            gate.share(None)


@contextmanager
def without(model: nn.Module) -> Iterator[None]:
    """The base model: gates are off inside, the same objects are on again after."""
    carriers = {module: module.so8_gate for module in model.modules() if hasattr(module, "so8_gate")}
    try:
        for module in carriers:
            del module.so8_gate
        yield
    finally:
        for module, gate in carriers.items():
            module.so8_gate = gate


def text_config(model: Any) -> Any:
    """The decoder's configuration, also within a model of several modalities."""
    return model.config.get_text_config(decoder=True)


def _gate(module: nn.Module, layer: int, kind: str, alpha: float) -> Gate:
    projection: Any = module.o_proj
    try:
        return Gate(projection.in_features, kind, alpha, device=next(projection.parameters()).device)
    except StageError as error:
        raise StageError(f"layer {layer}: {error}") from None


def _configs(model: nn.Module) -> list[Any]:
    """The configurations that attention modules look at: often one object, shared."""
    return list({id(module.config): module.config for module in attentions(model).values()}.values())


def _check_no_detour(module: Any, _inputs: tuple[Any, ...]) -> None:
    name = module.config._attn_implementation
    if not str(name).startswith(PREFIX):
        raise StageError(
            f"the attention implementation was changed to {name!r} after gates were attached, which would bypass them: "
            "detach, change it, attach again"
        )


def _listed(layers: Sequence[int]) -> str:
    return ", ".join(map(str, layers))
