"""The integration report: what was attached, and proof that it changes nothing at identity and acts where it should."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from so8t.errors import StageError
from so8t.gate import attach, rotation

_PROBE = 0.3  # of theta or delta, while it is checked that gates act on the projections' inputs
_TOKENS = 256  # random ones, whose norms are compared before and after each gate


@dataclass(frozen=True)
class Integration:
    """Figures over all gates; orthogonality and norms in the gates' own precision."""

    layers: tuple[int, ...]
    blocks: int
    parameters: int
    identity_bit_equal: bool  # logits with gates at identity against logits without gates
    acts_before_o_proj: bool  # what a gate gives is what the projection behind it takes, bit for bit
    orthogonality_error: float  # the largest ||MᵀM - I||_F
    norm_preservation_error: float  # the largest | ||M x|| / ||x|| - 1 |

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "layers": list(self.layers)}


@torch.no_grad()
def integrate(model: nn.Module, tokens: Tensor) -> Integration:
    """Check a model's gates on token ids (batch, length), and describe them; the gates are as before afterwards."""
    found = attach.gates(model)
    before = {layer: {k: v.clone() for k, v in gate.state_dict().items()} for layer, gate in found.items()}
    was_training = model.training
    model.eval()
    try:
        identity = _same_at_identity(model, tokens)
        acts = _acts_before_projections(model, tokens)
    finally:
        for layer, gate in found.items():
            gate.load_state_dict(before[layer])
        model.train(was_training)
    return Integration(
        layers=tuple(found),
        blocks=sum(gate.blocks for gate in found.values()),
        parameters=sum(parameter.numel() for gate in found.values() for parameter in gate.parameters()),
        identity_bit_equal=identity,
        acts_before_o_proj=acts,
        orthogonality_error=max((float(rotation.deviation(g.matrix()).max()) for g in found.values()), default=0.0),
        norm_preservation_error=max((_norm_error(gate.matrix()) for gate in found.values()), default=0.0),
    )


def check(report: Integration) -> None:
    """A model whose gates do not integrate is not published."""
    if not report.identity_bit_equal:
        raise StageError("gates at identity change the logits: this model's attention cannot carry them")
    if not report.acts_before_o_proj:
        raise StageError(
            "something lies between a gate and its output projection (a norm, a gated output), or the model does not "
            "call the attention interface: W' = W M would not be the same function, so this model cannot be baked"
        )


def _same_at_identity(model: nn.Module, tokens: Tensor) -> bool:
    for gate in attach.gates(model).values():
        gate.reset()
    gated = model(input_ids=tokens).logits
    with attach.without(model):
        return torch.equal(gated, model(input_ids=tokens).logits)


def _acts_before_projections(model: nn.Module, tokens: Tensor) -> bool:
    """Gates that turn visibly: each is called once, and its output is its projection's input."""
    seen: dict[tuple[str, int], list[Tensor]] = {}
    hooks = []
    for layer, gate in attach.gates(model).items():
        generator = torch.Generator().manual_seed(layer)
        for name, parameter in gate.named_parameters():
            if name != "alpha":
                parameter.copy_(_PROBE * torch.randn(parameter.shape, generator=generator))
        gives, takes = seen.setdefault(("gate", layer), []), seen.setdefault(("o_proj", layer), [])
        projection: Any = attach.attentions(model)[layer].o_proj
        hooks.append(gate.register_forward_hook(lambda _m, _i, output, at=gives: at.append(output)))
        hooks.append(projection.register_forward_pre_hook(lambda _m, inputs, at=takes: at.append(inputs[0])))
    try:
        model(input_ids=tokens)
    finally:
        for hook in hooks:
            hook.remove()
    return all(
        len(seen["gate", layer]) == len(seen["o_proj", layer]) == 1
        and torch.equal(seen["gate", layer][0], seen["o_proj", layer][0])
        for layer in attach.gates(model)
    )


def _norm_error(blocks: Tensor) -> float:
    x = torch.randn(_TOKENS, *blocks.shape[:2], generator=torch.Generator().manual_seed(0)).to(blocks)  # (t, n, 8)
    turned = torch.einsum("bij,tbj->tbi", blocks, x)
    return float((turned.flatten(1).norm(dim=1) / x.flatten(1).norm(dim=1) - 1).abs().max())
