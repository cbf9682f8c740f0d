"""What a type of GGUF may cost: usual bounds, and the message where one is passed."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field

from so8t.errors import StageError
from so8t.parity.engines import Figures
from so8t.spec.fields import SpecModel


class Bound(SpecModel):
    """How far a model may be from the one that it was made from."""

    divergence: float = Field(gt=0)
    """Mean Kullback-Leibler divergence of the next token's distribution, in nats."""
    perplexity: float = Field(gt=0)
    """Relative change of perplexity, up or down."""
    agreement: float = Field(ge=0, le=1)
    """At least this part of the likeliest next tokens must be the same."""


_EXACT = Bound(divergence=1e-3, perplexity=0.01, agreement=0.98)
USUAL: Mapping[str, Bound] = {
    "f32": _EXACT,
    "f16": _EXACT,
    "bf16": Bound(divergence=0.01, perplexity=0.02, agreement=0.95),
    "q8_0": Bound(divergence=0.01, perplexity=0.02, agreement=0.95),
    "q6_k": Bound(divergence=0.03, perplexity=0.05, agreement=0.92),
    "q5_k_m": Bound(divergence=0.06, perplexity=0.07, agreement=0.90),
    "q4_k_m": Bound(divergence=0.15, perplexity=0.15, agreement=0.85),
}
LOOSE = Bound(divergence=1.0, perplexity=1.0, agreement=0.5)  # types that nobody chooses for their fidelity


def of(kind: str, named: Mapping[str, Bound]) -> Bound:
    return named.get(kind) or USUAL.get(kind, LOOSE)


def check(step: str, kind: str, figures: Figures, bound: Bound) -> None:
    """`step` says what was compared: `baked -> f16`."""
    problems = []
    if figures.divergence > bound.divergence:
        problems.append(f"mean KL divergence {figures.divergence:.3g} is above {bound.divergence:g} (divergence)")
    if abs(figures.perplexity_change) > bound.perplexity:
        problems.append(
            f"perplexity changes by {figures.perplexity_change:+.1%}, over {bound.perplexity:.1%} (perplexity)"
        )
    if figures.agreement < bound.agreement:
        problems.append(f"top-1 agreement {figures.agreement:.3f} is below {bound.agreement:g} (agreement)")
    if problems:
        raise StageError(
            f"gguf: {step}: {'; '.join(problems)}, over {figures.tokens:,} tokens of {figures.texts} held-out texts; "
            f"{_advice(kind)}, or accept it with bounds.{kind} in gguf.yaml"
        )


def _advice(kind: str) -> str:
    if kind in ("f32", "f16"):
        return "the conversion is wrong, or the weights do not fit into the type: compare with f32 and bf16 in types"
    if kind in ("bf16", "q8_0"):
        return "try f16 in types"
    return "try q5_k_m, q6_k or q8_0 in types, or an imatrix"
