"""How far one model's next-token distributions are from another's, over held-out texts, one text at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Logits = Callable[[Sequence[int]], "NDArray[np.float32]"]  # ids -> (ids, words)


@dataclass(frozen=True)
class Figures:
    """Over every token of every text; divergences in nats, of the other from the reference."""

    texts: int
    tokens: int
    divergence: float
    divergence_p99: float
    divergence_max: float
    agreement: float
    perplexity: float
    reference_perplexity: float
    difference: float  # largest, in units of the largest logit of its text

    @property
    def perplexity_change(self) -> float:
        return self.perplexity / self.reference_perplexity - 1

    def as_json(self) -> dict[str, Any]:
        """Rounded to what does not depend on the order of sums."""
        values = {**self.__dict__, "perplexity_change": self.perplexity_change}
        return {key: value if isinstance(value, int) else float(f"{value:.4g}") for key, value in values.items()}


def compare(reference: Logits, other: Logits, texts: Iterable[Sequence[int]]) -> Figures:
    """Texts of fewer than two tokens say nothing and are passed over."""
    import numpy as np

    count, same, differences = 0, 0, [0.0]
    divergences: list[NDArray[np.float64]] = []
    losses, reference_losses = 0.0, 0.0
    for ids in texts:
        if len(ids) < 2:
            continue
        first, second = reference(ids), other(ids)
        differences.append(float(np.abs(first - second).max() / max(float(np.abs(first).max()), 1e-30)))
        same += int((first.argmax(axis=1) == second.argmax(axis=1)).sum())
        a, b = _log_softmax(first), _log_softmax(second)
        divergences.append((np.exp(a) * (a - b)).sum(axis=1).clip(min=0))  # rounding may leave it below 0
        follow = np.arange(len(ids) - 1), np.asarray(ids[1:])
        reference_losses -= float(a[follow].sum())
        losses -= float(b[follow].sum())
        count += 1
    if not count:
        raise ValueError("no text of two tokens or more")
    every = np.concatenate(divergences)
    tokens = len(every)
    return Figures(
        texts=count,
        tokens=tokens,
        divergence=float(every.mean()),
        divergence_p99=float(np.percentile(every, 99)),
        divergence_max=float(every.max()),
        agreement=same / tokens,
        perplexity=float(np.exp(losses / (tokens - count))),
        reference_perplexity=float(np.exp(reference_losses / (tokens - count))),
        difference=max(differences),
    )


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    import numpy as np

    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    result: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result
