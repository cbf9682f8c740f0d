"""How two models are compared, as a spec says it, how far apart they may be, and what is said where they are not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from so8t.errors import StageError
from so8t.spec.fields import SpecModel

if TYPE_CHECKING:
    from so8t.parity.figures import Figures


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


class TypeBounds(SpecModel):
    """How far a type of GGUF may be from the one that it was made from."""

    kl: float = Field(gt=0)
    """Mean Kullback-Leibler divergence of the next token's distribution, in nats."""
    perplexity: float = Field(gt=0)
    """Relative change of perplexity, up or down."""
    top1: float = Field(ge=0, le=1)
    """At least this part of the likeliest next tokens must be the same."""


class Parity(SpecModel):
    """The comparison, on held-out conversations, layer by layer: memory holds one layer at a time."""

    splits: tuple[str, ...] = Field(("test",), min_length=1)
    """Splits of thinking_sft."""
    conversations: int = Field(8, ge=1)
    """So many of each, from the front."""
    tokens: int = Field(64, ge=2)
    """Tokens of each conversation, at most."""
    bounds: Bounds | None = None
    """In place of what is usual for the type in which the weights are stored."""


USUAL: Mapping[str, Bounds] = {
    "F32": Bounds(max_difference=1e-4, kl=1e-6, top1=0.99, layer=1e-4),
    "F16": Bounds(max_difference=0.05, kl=0.005, top1=0.95, layer=0.002),
    "BF16": Bounds(max_difference=0.1, kl=0.02, top1=0.9, layer=0.01),
}
_EXACT = TypeBounds(kl=1e-3, perplexity=0.01, top1=0.98)
USUAL_TYPES: Mapping[str, TypeBounds] = {
    "f32": _EXACT,
    "f16": _EXACT,
    "bf16": TypeBounds(kl=0.01, perplexity=0.02, top1=0.95),
    "q8_0": TypeBounds(kl=0.01, perplexity=0.02, top1=0.95),
    "q6_k": TypeBounds(kl=0.03, perplexity=0.05, top1=0.92),
    "q5_k_m": TypeBounds(kl=0.06, perplexity=0.07, top1=0.90),
    "q4_k_m": TypeBounds(kl=0.15, perplexity=0.15, top1=0.85),
}
LOOSE = TypeBounds(kl=1.0, perplexity=1.0, top1=0.5)  # types that nobody chooses for their fidelity


def of(parity: Parity, dtypes: Iterable[str]) -> Bounds:
    """The spec's own, or those of the coarsest type among the weights."""
    if parity.bounds:
        return parity.bounds
    there = set(dtypes)
    return next((USUAL[dtype] for dtype in ("BF16", "F16") if dtype in there), USUAL["F32"])


def of_type(kind: str, named: Mapping[str, TypeBounds]) -> TypeBounds:
    """Those that the spec names for this type of GGUF, or the usual ones."""
    return named.get(kind) or USUAL_TYPES.get(kind, LOOSE)


def problems(figures: Figures, bounds: Bounds | TypeBounds) -> list[str]:
    """What is beyond its bound, in words; a figure that is not a number is beyond every bound."""
    found = []
    if isinstance(bounds, Bounds) and not figures.max_difference <= bounds.max_difference:
        found.append(
            f"the largest difference is {figures.max_difference:.2g} of the logit scale, "
            f"over {bounds.max_difference:g} (max_difference)"
        )
    if not figures.kl <= bounds.kl:
        found.append(f"mean KL divergence {figures.kl:.2g} is over {bounds.kl:g} (kl)")
    if isinstance(bounds, TypeBounds) and not abs(figures.perplexity_change) <= bounds.perplexity:
        found.append(
            f"perplexity changes by {figures.perplexity_change:+.1%}, over {bounds.perplexity:.1%} (perplexity)"
        )
    if not figures.top1 >= bounds.top1:
        found.append(f"top-1 agreement {figures.top1:.3f} is below {bounds.top1:g} (top1)")
    return found


def check(step: str, figures: Figures, found: Sequence[str], advice: str) -> None:
    """A model with problems is not published: `step` says what was compared, `advice` what to do."""
    if found:
        raise StageError(
            f"{step}: {'; '.join(found)}; over {figures.tokens:,} tokens of {figures.conversations:,} held-out "
            f"conversations, worst in {figures.worst}; {advice}"
        )
