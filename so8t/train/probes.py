"""What is read off a model in training for a sample: its gates, and what one forward pass went through.

Nothing here draws a random number, enters the graph or stays on the model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from so8t.gate import attach, rotation
from so8t.gate.kinds import identity
from so8t.gate.layer import Gate, matrices, openings

_ROWS_AT_ONCE = 256  # of logits in float32


@dataclass(frozen=True)
class GateSample:
    """The gates at one moment, by layer; angles in degrees, deviation is ||MᵀM - I||_F."""

    layers: tuple[int, ...]
    figures: dict[str, list[float]]  # alpha and g of gates that open; deviation and angles, over a layer's blocks
    angles: tuple[Tensor, ...]  # of each layer (blocks, 4)


class Probes:
    """Watches a model, plain or wrapped, with or without gates."""

    def __init__(self, model: nn.Module, gates: Mapping[int, Gate]) -> None:
        self._model, self._gates = model, dict(gates)
        self._layers = decoder_layers(model)
        self._activations: dict[int, Tensor] = {}
        self._logits: Tensor | None = None

    @property
    def constants(self) -> dict[str, list[int]]:
        """Which layers the lists in a sample are about."""
        return {"gated_layers": list(self._gates), "decoder_layers": list(self._layers)}

    @contextmanager
    def armed(self, real: Tensor, learned: Tensor) -> Iterator[None]:
        """The first forward inside is watched.

        `real` (batch, time) is 0 at padding; `learned` (batch, time - 1) says where the next token is learned.
        """
        self._activations, self._logits = {}, None
        with ExitStack() as stack:
            for layer, module in self._layers.items():
                stack.callback(module.register_forward_hook(self._see_layer(layer, real)).remove)
            hook = self._model.register_forward_hook(self._see_logits(learned), with_kwargs=True)
            stack.callback(hook.remove)
            yield

    def activity(self) -> dict[str, Any]:
        """Of the pass that was watched: logits where something is learned, RMS of each layer's output."""
        if self._logits is None:
            return {}
        layers = [self._activations[layer].to(self._logits) for layer in self._layers]
        values = torch.cat([self._logits, torch.stack(layers)]).tolist()
        names = ("logits_mean", "logits_std", "logits_min", "logits_max")
        return {**dict(zip(names, values, strict=False)), "activations": values[len(names) :]}

    @torch.no_grad()
    def gates(self) -> GateSample:
        """The gates as they are now: one exponential, one transfer."""
        found = list(self._gates.values())
        if not found:
            return GateSample((), {}, ())
        blocks = _matrices(found)
        angles = _angles(found, blocks)
        sizes = [gate.blocks for gate in found]
        deviations = rotation.deviation(blocks).split(sizes)
        by_layer = angles.split(sizes)
        rows = {
            **_openings(found),
            "deviation": torch.stack([each.max() for each in deviations]),
            "deviation_mean": torch.stack([each.mean() for each in deviations]),
            "angle_mean": torch.stack([each.mean() for each in by_layer]),
            "angle_max": torch.stack([each.max() for each in by_layer]),
        }
        values = torch.stack([row.to(blocks) for row in rows.values()]).tolist()
        return GateSample(tuple(self._gates), dict(zip(rows, values, strict=True)), by_layer)

    def _see_layer(self, layer: int, real: Tensor) -> Callable[..., None]:
        @torch.no_grad()
        def see(_module: nn.Module, _inputs: Any, output: Any) -> None:
            if layer not in self._activations:  # checkpointing runs the layer again in the backward pass
                hidden = output[0] if isinstance(output, tuple) else output
                self._activations[layer] = _rms(hidden, real)

        return see

    def _see_logits(self, learned: Tensor) -> Callable[..., None]:
        @torch.no_grad()
        def see(_module: nn.Module, _inputs: Any, options: dict[str, Any], output: Any) -> None:
            if self._logits is None:
                self._logits = _spread(output.logits, _at(learned, options.get("logits_to_keep", 0)))

        return see


def decoder_layers(model: nn.Module) -> dict[int, nn.Module]:
    """The modules right around the attention modules, by layer."""
    numbers = {id(module): layer for layer, module in attach.attentions(model).items()}
    around = {
        numbers[id(child)]: parent for parent in model.modules() for child in parent.children() if id(child) in numbers
    }
    return dict(sorted(around.items()))


def _rms(hidden: Tensor, real: Tensor) -> Tensor:
    """Root of the mean square over real tokens and dimensions; what stands at padding may be anything."""
    squares = torch.linalg.vector_norm(hidden, dim=-1, dtype=torch.promote_types(hidden.dtype, torch.float32)).square()
    there = real.to(hidden.device) != 0
    return (squares.where(there, 0).sum() / (there.sum() * hidden.shape[-1])).sqrt()


def _at(learned: Tensor, kept: Tensor | int) -> Tensor:
    """`learned` at the positions whose logits the model kept: their indices, or how many from the end (0: all)."""
    whole = nn.functional.pad(learned, (0, 1))  # nothing follows the last token
    return whole[:, -kept:] if isinstance(kept, int) else whole[:, kept]


def _spread(logits: Tensor, chosen: Tensor) -> Tensor:
    """Mean, standard deviation, minimum and maximum over the chosen rows, some rows at a time."""
    rows = chosen.to(logits.device).flatten().nonzero().squeeze(-1)
    flat, exact = logits.flatten(0, 1), rotation.finest(logits.device)
    if not len(rows):
        return flat.new_full((4,), math.nan, dtype=exact)
    seen = []
    for some in rows.split(_ROWS_AT_ONCE):
        part = flat.index_select(0, some).float()  # a copy
        mean, (low, high) = part.mean(), torch.aminmax(part)
        variance = part.sub_(mean).square_().mean()  # var_mean takes ten times as long
        seen.append(torch.stack([mean, variance, low, high]).to(exact))
    means, variances, lows, highs = torch.stack(seen).unbind(1)
    weights = means.new_tensor([len(some) / len(rows) for some in rows.split(_ROWS_AT_ONCE)])
    mean = (weights * means).sum()
    variance = (weights * (variances + (means - mean).square())).sum()
    return torch.stack([mean, variance.sqrt(), lows.min(), highs.max()])


def _matrices(found: Sequence[Gate]) -> Tensor:
    """M of all blocks of all gates, on the first gate's device; one exponential per device."""
    places: dict[torch.device, list[int]] = {}
    for at, gate in enumerate(found):
        places.setdefault(next(gate.parameters()).device, []).append(at)
    made: dict[int, Tensor] = {}
    for numbers in places.values():
        made.update(zip(numbers, matrices([found[at] for at in numbers]), strict=True))
    return torch.cat([made[at].to(made[0].device) for at in range(len(found))])


def _openings(found: Sequence[Gate]) -> dict[str, Tensor]:
    """alpha and g, where the kind has them."""
    if not found[0].kind.opens:
        return {}
    device = found[0].alpha.device
    alpha = torch.stack([gate.alpha.to(device, rotation.finest(device)) for gate in found])
    return {"alpha": alpha, "g": torch.sigmoid(alpha)}


def _angles(found: Sequence[Gate], blocks: Tensor) -> Tensor:
    """The four angles of each block in degrees, as its kind has them; NaN where its values are not finite."""
    sound = blocks.isfinite().all(-1).all(-1)[:, None]
    blocks = blocks.where(sound[..., None], identity(blocks))  # LAPACK refuses a NaN
    angles = found[0].kind.angles(blocks, openings(found, blocks)[:, None])
    return torch.rad2deg(angles).where(sound, math.nan)
