"""How two models are compared, as a spec says it, and how far apart they may be."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pydantic import Field

from so8t.spec.fields import SpecModel


class Bounds(SpecModel):
    """How far a model may be from what it was made of; differences as parts of the largest logit."""

    max_difference: float = Field(gt=0)
    """Of any logit."""
    kl: float = Field(gt=0)
    """Mean Kullback-Leibler divergence of the next token's distribution, in nats."""
    top1: float = Field(ge=0, le=1)
    """At least this part of the likeliest next tokens must be the same."""
    layer: float = Field(gt=0)
    """A single layer's deviation, on the same input, as part of what the layer adds."""


class Parity(SpecModel):
    """The comparison, on held-out conversations, layer by layer: memory holds one layer at a time."""

    splits: tuple[str, ...] = Field(("test",), min_length=1)
    """Splits of thinking_sft."""
    prompts: int = Field(8, ge=1)
    """Conversations of each, from the front."""
    tokens: int = Field(64, ge=2)
    """Tokens of each, at most."""
    bounds: Bounds | None = None
    """In place of what is usual for the type in which the weights are stored."""


USUAL: Mapping[str, Bounds] = {
    "F32": Bounds(max_difference=1e-4, kl=1e-6, top1=0.99, layer=1e-4),
    "F16": Bounds(max_difference=0.05, kl=0.005, top1=0.95, layer=0.002),
    "BF16": Bounds(max_difference=0.1, kl=0.02, top1=0.9, layer=0.01),
}


def of(parity: Parity, dtypes: Iterable[str]) -> Bounds:
    """The spec's own, or those of the coarsest type among the weights."""
    if parity.bounds:
        return parity.bounds
    there = set(dtypes)
    return next((USUAL[dtype] for dtype in ("BF16", "F16") if dtype in there), USUAL["F32"])
