"""so8t_model: rotation gates on its attention, at identity, with proof that no logit changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from so8t.engine.stage import Inputs, Stage
from so8t.errors import StageError
from so8t.spec.fields import SpecModel, execution

if TYPE_CHECKING:
    from torch import Tensor


class Spec(SpecModel):
    """Which layers carry gates, and of which kind."""

    kind: Literal["geodesic", "blend", "free"] = "geodesic"
    """geodesic: always a rotation; blend: between the identity and one; free: near one, kept there by a loss."""
    layers: Literal["all", "intermediate"] | tuple[int, ...] = "intermediate"
    """all, intermediate (all but the first and the last), or numbers of layers, from 0."""
    alpha: float = Field(-5.0, ge=-30, le=30)
    """How far gates are open before training, as sigmoid(alpha)."""
    threads: int = execution(2, ge=1, le=256)
    """Threads of the processor while the base is tried with its gates."""


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    import torch

    from so8t.gate import attach, integration
    from so8t.models import facts, loading
    from so8t.watch.quiet import quiet
    from so8t.weights import gatefiles

    torch.set_num_threads(spec.threads)
    with quiet():
        model = loading.load(inputs["base_model"] / "model", remote_code=facts.remote_code(inputs["base_model"]))
    if not attach.attach(model, spec.layers, spec.kind, spec.alpha):
        raise StageError(
            f"so8t_model: layers: {spec.layers!r} leaves none of the base's {model.config.num_hidden_layers} layers; "
            "name layers by their numbers, or take all"
        )
    report = integration.integrate(model, _probe(facts.read(inputs["base_model"])["vocab_size"]))
    integration.check(report)
    gatefiles.save(model, out, report.as_json())
    print(
        f"so8t_model: {report.blocks:,} {spec.kind} blocks on layers {', '.join(map(str, report.layers))}; "
        "at identity the logits are the base's, bit for bit",
        file=sys.stderr,
    )


def _probe(words: int) -> Tensor:
    import torch

    return torch.randint(words, (2, 48), generator=torch.Generator().manual_seed(0))


STAGE = Stage(
    "so8t_model",
    spec=Spec,
    build=build,
    takes=("base_model",),
    gives=("gates.safetensors", "so8t.json"),
    packages=("torch", "transformers", "safetensors"),
)
