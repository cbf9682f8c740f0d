"""Two models compared layer by layer, both streamed from the disk: which layer is off, and by how much the logits are.

Every layer of the candidate is also given the reference's own input, so that one wrong layer shows alone.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

from so8t.errors import StageError
from so8t.parity import bounds
from so8t.parity.bounds import Bounds
from so8t.parity.figures import WINDOW, Comparison, Figures, at_most, figures
from so8t.store import running
from so8t.weights.streamed import Streamed

_NAMED = 4  # layers in a message
EMBEDDINGS = "embeddings"


@dataclass(frozen=True)
class Compared:
    """Figures over the logits, and each layer's own deviation as part of what the layer adds."""

    figures: Figures
    layers: Mapping[str, float]

    def as_json(self) -> dict[str, Any]:
        worst = max(self.layers, key=lambda name: self.layers[name])
        deviation = at_most(self.layers[worst])
        return {**self.figures.alike(), "layers": len(self.layers) - 1, "worst_layer_deviation": deviation}


def compare(
    reference: Streamed, candidate: Streamed, conversations: Mapping[str, Sequence[int]], scratch: Path
) -> Compared:
    """`conversations` are token ids by name; `scratch` is a folder for what passes between the two."""
    if reference.vocabulary != candidate.vocabulary or reference.layers != candidate.layers:
        raise StageError("parity: the two models differ in their layers or in the size of their vocabulary")
    ids, real = _batch(conversations)
    with tempfile.TemporaryFile(dir=scratch) as file:
        shelf = _Shelf(file)
        expected = reference.hidden(ids, shelf.record)
        gauge = _Gauge(shelf, candidate.layers, real)
        found = candidate.hidden(ids, gauge)
    comparison = Comparison(conversations)
    for start in range(0, reference.vocabulary, WINDOW):
        window = start, min(start + WINDOW, reference.vocabulary)
        logits = [model.logits(ids, at, *window)[real] for model, at in ((reference, expected), (candidate, found))]
        comparison.add(*logits)
    return Compared(figures([comparison]), gauge.deviations)


def check(step: str, compared: Compared, allowed: Bounds, advice: str) -> None:
    """A model beyond a bound is not published; the layers that are off are named."""
    problems = bounds.problems(compared.figures, allowed)
    off = [(name, value) for name, value in compared.layers.items() if not value <= allowed.layer]
    if off:
        listed = ", ".join(f"{name} by {value:.2g}" for name, value in off[:_NAMED])
        more = f" and {len(off) - _NAMED} more" if len(off) > _NAMED else ""
        problems.append(f"off by more than {allowed.layer:g} of what a layer adds (layer): {listed}{more}")
    elif problems:
        problems.append("no single layer is off")
    bounds.check(step, compared.figures, problems, advice)


def _batch(conversations: Mapping[str, Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Ids (conversations, longest) and which of them are real; what stands behind a text changes nothing before it."""
    longest = max(map(len, conversations.values()))
    ids = torch.tensor([[*tokens, *[0] * (longest - len(tokens))] for tokens in conversations.values()])
    lengths = torch.tensor([len(tokens) for tokens in conversations.values()])
    return ids, torch.arange(longest) < lengths[:, None]


class _Shelf:
    """The reference's hidden states, before the first layer and after each."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._shape: torch.Size | None = None

    def record(self, number: int, hidden: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        if number == 0:
            self._put(hidden)
        output = run(hidden)
        self._put(output)
        return output

    def take(self, number: int) -> Tensor:
        assert self._shape is not None
        size = 4 * self._shape.numel()
        self._file.seek(number * size)
        return torch.frombuffer(bytearray(self._file.read(size)), dtype=torch.float32).view(self._shape)

    def _put(self, hidden: Tensor) -> None:
        self._shape = hidden.shape
        self._file.write(hidden.contiguous().numpy().tobytes())


class _Gauge:
    """Runs each layer on its own model's state, and on the reference's to see what the layer alone makes of it."""

    def __init__(self, shelf: _Shelf, names: Sequence[str], real: Tensor) -> None:
        self._shelf, self._names, self._real = shelf, names, real
        self.deviations: dict[str, float] = {}

    def __call__(self, number: int, hidden: Tensor, run: Callable[[Tensor], Tensor]) -> Tensor:
        before, after = self._shelf.take(number), self._shelf.take(number + 1)
        if number == 0:
            self._measure(EMBEDDINGS, hidden, before, torch.zeros_like(before))
        running.tell("layer", number + 1, len(self._names), part="parity")
        self._measure(self._names[number], run(before), after, before)
        return run(hidden)

    def _measure(self, name: str, output: Tensor, expected: Tensor, without: Tensor) -> None:
        adds = (expected - without)[self._real].norm()
        off = (output - expected)[self._real].norm() / adds.clamp(min=torch.finfo(torch.float32).tiny)
        self.deviations[name] = float(off)
