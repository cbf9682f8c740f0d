"""Whether two models are the same function: figures over logits, bounds, and a verdict that names what is off.

Logits come in windows over the vocabulary, so that whoever has them whole gives one window, and whoever has not
keeps a few numbers for each position.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

import torch
from torch import Tensor

from so8t.errors import StageError
from so8t.parity.bounds import Bounds

_BEST = 5
_NOISE = {"kl_mean": 1e-7, "kl_max": 1e-7, "worst_kl": 1e-7}
_OTHER_NOISE = 1e-5  # what is finer differs between machines, and between numbers of threads


@dataclass(frozen=True)
class Figures:
    """Logits of a candidate against those of a reference; differences as parts of the largest reference logit."""

    positions: int
    scale: float  # the largest reference logit
    max_difference: float
    mean_difference: float
    kl_mean: float  # from the reference to the candidate, in nats
    kl_max: float
    top1: float  # positions where both choose the same token
    top5: float  # how many of the reference's five best are among the candidate's
    worst: str  # the prompt with the largest mean divergence
    worst_kl: float

    def as_json(self) -> dict[str, Any]:
        """Differences are rounded up: what is published holds on every machine."""
        found = {"positions": self.positions, "scale": float(f"{self.scale:.3g}"), "top1": self.top1, "top5": self.top5}
        differences = {key: value for key, value in asdict(self).items() if key not in (*found, "worst")}
        published = {key: at_most(value, _NOISE.get(key, _OTHER_NOISE)) for key, value in differences.items()}
        worst = self.worst if self.worst_kl > _NOISE["worst_kl"] else None
        return {**found, **{key: float(f"{found[key]:.4g}") for key in ("top1", "top5")}, **published, "worst": worst}


class Comparison:
    """Gathers windows of logits (positions, some words) of both models, then gives the figures."""

    def __init__(self, prompts: Sequence[str]) -> None:
        """`prompts` names the prompt of every position."""
        self._prompts = list(prompts)
        count = len(self._prompts)
        self._reference, self._candidate = _Side(count), _Side(count)
        self._largest = torch.zeros(count)
        self._sum = torch.zeros(count, dtype=torch.float64)
        self._gap = torch.zeros(count, dtype=torch.float64)  # sum of exp(r - top) (r - c)
        self._words = 0

    def add(self, reference: Tensor, candidate: Tensor) -> None:
        """The next window of words."""
        reference, candidate = reference.detach().double().cpu(), candidate.detach().double().cpu()
        if not bool(reference.isfinite().all() & candidate.isfinite().all()):
            raise StageError("logits are infinite or NaN: one of the models is broken, nothing can be compared")
        difference = reference - candidate
        weights, shrunk = self._reference.add(reference, self._words)
        self._candidate.add(candidate, self._words)
        self._gap = self._gap * shrunk + (weights * difference).sum(1)
        self._largest = torch.maximum(self._largest, difference.abs().amax(1).float())
        self._sum += difference.abs().sum(1)
        self._words += reference.shape[1]

    def figures(self) -> Figures:
        if not self._prompts or not self._words:
            raise StageError("parity: nothing was compared: there are no probe prompts")
        kl = self._gap / self._reference.total - self._reference.logsum() + self._candidate.logsum()
        kl = kl.clamp(min=0)  # it is not negative, but for rounding
        scale = float(self._reference.extent.max()) or 1.0
        best, chosen = self._reference.best, self._candidate.best
        name, worst = self._worst(kl)
        return Figures(
            positions=len(self._prompts),
            scale=scale,
            max_difference=float(self._largest.max()) / scale,
            mean_difference=float(self._sum.mean()) / self._words / scale,
            kl_mean=float(kl.mean()),
            kl_max=float(kl.max()),
            top1=float((best[:, 0] == chosen[:, 0]).double().mean()),
            top5=float((best[:, :, None] == chosen[:, None, :]).any(2).double().mean()),
            worst=name,
            worst_kl=worst,
        )

    def _worst(self, kl: Tensor) -> tuple[str, float]:
        means: dict[str, list[float]] = {}
        for name, value in zip(self._prompts, kl.tolist(), strict=True):
            means.setdefault(name, []).append(value)
        found = {name: math.fsum(values) / len(values) for name, values in means.items()}
        return max(found.items(), key=lambda item: item[1])


class _Side:
    """Of one model, for each position: the best words so far and the sum of exponentials below the largest logit."""

    def __init__(self, count: int) -> None:
        self._top = torch.full((count,), -math.inf, dtype=torch.float64)
        self.total = torch.zeros(count, dtype=torch.float64)
        self.extent = torch.zeros(count, dtype=torch.float64)
        self._values = torch.empty(count, 0, dtype=torch.float64)
        self.best = torch.empty(count, 0, dtype=torch.long)

    def add(self, logits: Tensor, first: int) -> tuple[Tensor, Tensor]:
        """exp(logits - top), and by what all that came before has shrunk."""
        top = torch.maximum(self._top, logits.amax(1))
        shrunk = (self._top - top).exp()
        weights = (logits - top[:, None]).exp()
        self.total = self.total * shrunk + weights.sum(1)
        self.extent = torch.maximum(self.extent, logits.abs().amax(1))
        self._top = top
        words = torch.arange(first, first + logits.shape[1]).expand_as(logits)
        values, names = torch.cat([self._values, logits], 1), torch.cat([self.best, words], 1)
        self._values, places = values.topk(min(_BEST, values.shape[1]), 1)
        self.best = names.gather(1, places)
        return weights, shrunk

    def logsum(self) -> Tensor:
        return self.total.log() + self._top


def compare(reference: Mapping[str, Tensor], candidate: Mapping[str, Tensor]) -> Figures:
    """Logits (positions, words) by prompt, as two models gave them."""
    if reference.keys() != candidate.keys():
        raise StageError("parity: the two models did not see the same prompts")
    comparison = Comparison([name for name, logits in reference.items() for _ in range(len(logits))])
    for name, logits in reference.items():
        if logits.shape != candidate[name].shape:
            raise StageError(
                f"parity: {name}: logits {list(logits.shape)} of the reference, {list(candidate[name].shape)} of the "
                "candidate: tokens or vocabularies differ"
            )
    comparison.add(torch.cat(list(reference.values())), torch.cat([candidate[name] for name in reference]))
    return comparison.figures()


def misses(figures: Figures, bounds: Bounds) -> list[str]:
    """What is beyond its bound, in words."""
    found = []
    if not figures.max_difference <= bounds.max_difference:
        found.append(
            f"the largest difference is {figures.max_difference:.2g} of the logit scale, "
            f"over {bounds.max_difference:g} (max_difference)"
        )
    if not figures.kl_mean <= bounds.kl:
        found.append(f"mean KL divergence {figures.kl_mean:.2g} is over {bounds.kl:g} (kl)")
    if not figures.top1 >= bounds.top1:
        found.append(f"top-1 agreement {figures.top1:.3f} is below {bounds.top1:g} (top1)")
    return found


def at_most(value: float, noise: float = _OTHER_NOISE) -> float:
    """A figure as it is published: two digits, rounded up, and never finer than noise."""
    exact = Decimal(repr(max(value, noise)))
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - 1), rounding=ROUND_CEILING))
