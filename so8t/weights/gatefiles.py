"""Gates on disk: `gates.safetensors` with the gates alone, float32, and `so8t.json` that says what they are.

Tensors are named as in the model's own state: `model.layers.1.self_attn.so8_gate.theta`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from so8t.errors import StageError
from so8t.gate import attach, kinds
from so8t.gate.kinds import Kind
from so8t.gate.layer import Gate

TENSORS = "gates.safetensors"
DESCRIPTION = "so8t.json"
_MARK = ".so8_gate."


@dataclass(frozen=True)
class Stored:
    """Gates as a file holds them: the kind, the layers' attention modules by name, the tensors by name."""

    kind: Kind
    attentions: Mapping[int, str]
    tensors: Mapping[str, Tensor]

    def gate(self, layer: int) -> Gate:
        """One layer's gate, rebuilt."""
        own = {
            name.split(_MARK)[1]: tensor
            for name, tensor in self.tensors.items()
            if name.startswith(self.attentions[layer] + _MARK)
        }
        first = next((tensor for name, tensor in own.items() if name != "alpha"), None)
        if first is None:
            raise StageError(f"{TENSORS}: no gate for {self.attentions[layer]}, which {DESCRIPTION} lists")
        gate = Gate(first.shape[0] * 8, self.kind.name)
        _load(gate, own, f"{TENSORS}: {self.attentions[layer]}")
        return gate

    def matrices(self) -> dict[str, Tensor]:
        """The block matrix M (n, 8, 8), float64, by the name of the projection weight that it multiplies."""
        made = {}
        for layer, name in self.attentions.items():
            gate = self.gate(layer)
            gate.project()
            made[f"{name}.o_proj.weight"] = gate.matrix(torch.float64).detach()
        return made


def save(model: nn.Module, folder: Path, report: Mapping[str, Any]) -> None:
    """The model's gates into `folder`, with the integration report; equal gates, equal bytes."""
    from safetensors.torch import save_file

    found, names = attach.gates(model), attach.names(model)
    if not found:
        raise StageError(f"{type(model).__name__} has no gates to save")
    tensors = {
        f"{names[layer]}{_MARK}{name}": tensor.detach().cpu().contiguous()
        for layer, gate in found.items()
        for name, tensor in gate.state_dict().items()
    }
    save_file(tensors, folder / TENSORS, metadata={"format": "pt"})
    described = {
        "kind": next(iter(found.values())).kind.name,
        "attentions": {str(layer): names[layer] for layer in found},
        **report,
    }
    (folder / DESCRIPTION).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8", newline="\n")


def read(folder: Path) -> Stored:
    """What `save` wrote, checked against itself."""
    from safetensors.torch import load_file

    for name in (DESCRIPTION, TENSORS):
        if not (folder / name).is_file():
            raise StageError(f"{folder / name} is missing: a folder of gates holds {DESCRIPTION} and {TENSORS}")
    described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    by_layer = {int(layer): name for layer, name in described["attentions"].items()}
    tensors = load_file(folder / TENSORS)
    if strange := sorted(name for name in tensors if name.split(_MARK)[0] not in by_layer.values()):
        raise StageError(f"{folder / TENSORS}: {strange[0]} belongs to no layer that {DESCRIPTION} lists")
    return Stored(kinds.find(described["kind"]), by_layer, tensors)


def load(model: nn.Module, folder: Path) -> dict[int, Gate]:
    """Attach stored gates to a model without gates, or load them into the gates that it has."""
    stored = read(folder)
    found = attach.gates(model) or attach.attach(model, tuple(stored.attentions), stored.kind.name)
    if tuple(found) != tuple(stored.attentions):
        raise StageError(f"{folder}: gates for layers {list(stored.attentions)}, the model has them at {list(found)}")
    for layer, gate in found.items():
        _load(gate, stored.gate(layer).state_dict(), f"{folder / TENSORS}: {stored.attentions[layer]}")
    return found


def _load(gate: Gate, tensors: Mapping[str, Tensor], where: str) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in gate.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if shapes != given:
        raise StageError(f"{where}: a {gate.kind.name} gate of {gate.dim} holds {shapes}, the file {given}")
    gate.load_state_dict(dict(tensors))
