"""How far one model's logits are from another's: the one way from logits to figures, whichever engine gave them.

Logits come in windows over the vocabulary, so that whoever has them whole gives one window, and whoever has not
keeps a few numbers for each position.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

import torch
from torch import Tensor

from so8t.errors import StageError

WINDOW = 4096  # tokens of the vocabulary at once
_BEST = 5
_NOTHING = -1  # follows a conversation's last token
_ALIKE = ("tokens", "scale", "top1", "top5", "max_difference", "mean_difference", "kl", "kl_max", "worst_kl", "worst")
_APART = (
    *("conversations", "tokens", "kl", "kl_p99", "kl_max", "top1"),
    *("perplexity", "reference_perplexity", "worst_difference", "perplexity_change"),
)
_DIGITS = {"scale": 3, "top1": 4, "top5": 4}
_NOISE = {"kl": 1e-7, "kl_max": 1e-7, "worst_kl": 1e-7}
_OTHER_NOISE = 1e-5  # what is finer differs between machines, and between numbers of threads


@dataclass(frozen=True)
class Figures:
    """A candidate against a reference, over every token of every conversation; `kl` is in nats, from the reference."""

    conversations: int
    tokens: int
    scale: float  # the largest reference logit
    max_difference: float  # as part of the scale
    mean_difference: float  # as part of the scale
    kl: float  # the mean
    kl_p99: float
    kl_max: float
    top1: float  # tokens behind which both choose the same one
    top5: float  # how many of the reference's five best are among the candidate's
    perplexity: float
    reference_perplexity: float
    worst: str  # the conversation with the largest mean divergence
    worst_kl: float
    worst_difference: float  # in any conversation, as part of its own largest reference logit

    @property
    def perplexity_change(self) -> float:
        return self.perplexity / self.reference_perplexity - 1

    def alike(self) -> dict[str, Any]:
        """Of one function in two forms: differences are rounded up, so that what is published holds everywhere."""
        found = {name: getattr(self, name) for name in _ALIKE}
        for name, value in found.items():
            if name in _DIGITS:
                found[name] = _rounded(value, _DIGITS[name])
            elif isinstance(value, float):
                found[name] = at_most(value, _NOISE.get(name, _OTHER_NOISE))
        return {**found, "worst": self.worst if self.worst_kl > _NOISE["worst_kl"] else None}

    def apart(self) -> dict[str, Any]:
        """Of two models that differ: rounded to what does not depend on the order of sums."""
        found = {name: getattr(self, name) for name in _APART}
        return {name: value if isinstance(value, int) else _rounded(value, 4) for name, value in found.items()}


class Comparison:
    """Gathers windows of logits (tokens, a part of the vocabulary) of both models."""

    def __init__(self, conversations: Mapping[str, Sequence[int]]) -> None:
        """Token ids by name: a window has a row for each id, one conversation behind another."""
        self.names = [name for name, ids in conversations.items() for _ in ids]
        following = [each for ids in conversations.values() if ids for each in (*ids[1:], _NOTHING)]
        self._following = torch.tensor(following, dtype=torch.long)
        self._reference, self._candidate = _Side(self._following), _Side(self._following)
        self._largest = torch.zeros(len(following))
        self._sum = torch.zeros(len(following), dtype=torch.float64)
        self._gap = torch.zeros(len(following), dtype=torch.float64)  # sum of exp(r - top) (r - c)
        self._seen = 0

    def add(self, reference: Tensor, candidate: Tensor) -> None:
        """The next window of the vocabulary."""
        if reference.shape != candidate.shape:
            raise StageError(
                f"parity: logits {list(reference.shape)} of the reference, {list(candidate.shape)} of the candidate: "
                "tokens or vocabularies differ"
            )
        reference, candidate = reference.detach().double().cpu(), candidate.detach().double().cpu()
        difference = reference - candidate
        apart = difference.abs()
        largest = apart.amax(1)
        if not bool(largest.isfinite().all()):  # as it is where any logit is not
            raise StageError("logits are infinite or NaN: one of the models is broken, nothing can be compared")
        weights, shrunk = self._reference.add(reference, self._seen)
        self._candidate.add(candidate, self._seen)
        self._gap = self._gap * shrunk + (weights * difference).sum(1)
        self._largest = torch.maximum(self._largest, largest.float())
        self._sum += apart.sum(1)
        self._seen += reference.shape[1]

    def rows(self) -> dict[str, Tensor]:
        """What the figures are made of: a number for each token, and losses where one follows."""
        followed, best, chosen = self._following != _NOTHING, self._reference.best, self._candidate.best
        kl = self._gap / self._reference.total - self._reference.logsum + self._candidate.logsum
        return {
            "kl": kl.clamp(min=0),  # it is not negative, but for rounding
            "extent": self._reference.extent,
            "largest": self._largest,
            "mean": self._sum / self._seen,
            "top1": best[:, 0] == chosen[:, 0],
            "top5": (best[:, :, None] == chosen[:, None, :]).any(2),
            "loss": self._candidate.loss[followed],
            "reference_loss": self._reference.loss[followed],
        }


class _Side:
    """Of one model, for each token: the best tokens so far, the logit of the next token, the sum of exponentials."""

    def __init__(self, following: Tensor) -> None:
        count = len(following)
        self._following = following
        self._top = torch.full((count,), -math.inf, dtype=torch.float64)
        self.total = torch.zeros(count, dtype=torch.float64)  # of exponentials, below the largest logit
        self.extent = torch.zeros(count, dtype=torch.float64)
        self._said = torch.zeros(count, dtype=torch.float64)
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
        here = (self._following >= first) & (self._following < first + logits.shape[1])
        self._said[here] = logits[here, self._following[here] - first]
        values, places = logits.topk(min(_BEST, logits.shape[1]), 1)
        self._values, chosen = torch.cat([self._values, values], 1).topk(min(_BEST, first + logits.shape[1]), 1)
        self.best = torch.cat([self.best, places + first], 1).gather(1, chosen)
        return weights, shrunk

    @property
    def logsum(self) -> Tensor:
        return self.total.log() + self._top

    @property
    def loss(self) -> Tensor:
        """Of the next token; at a conversation's end it means nothing."""
        return self.logsum - self._said


def figures(parts: Sequence[Comparison]) -> Figures:
    """Over all parts, each of conversations of its own."""
    names = [name for part in parts for name in part.names]
    if len(names) == len(set(names)):
        raise StageError("parity: nothing was compared: no conversation has two tokens or more")
    found = [part.rows() for part in parts]
    rows = {key: torch.cat([each[key] for each in found]) for key in found[0]}
    means = {key: float(rows[key].double().mean()) for key in ("kl", "mean", "top1", "top5", "loss", "reference_loss")}
    scale = float(rows["extent"].max()) or 1.0
    kl = {name: math.fsum(values) / len(values) for name, values in _by_name(names, rows["kl"])}
    largest, extent = (
        {name: max(values) for name, values in _by_name(names, rows[key])} for key in ("largest", "extent")
    )
    worst = max(kl, key=lambda name: kl[name])
    return Figures(
        conversations=len(kl),
        tokens=len(names),
        scale=scale,
        max_difference=float(rows["largest"].max()) / scale,
        mean_difference=means["mean"] / scale,
        kl=means["kl"],
        kl_p99=float(rows["kl"].quantile(0.99)),
        kl_max=float(rows["kl"].max()),
        top1=means["top1"],
        top5=means["top5"],
        perplexity=math.exp(means["loss"]),
        reference_perplexity=math.exp(means["reference_loss"]),
        worst=worst,
        worst_kl=kl[worst],
        worst_difference=max(largest[name] / (extent[name] or 1.0) for name in kl),
    )


def _by_name(names: Sequence[str], rows: Tensor) -> Iterable[tuple[str, list[float]]]:
    found: dict[str, list[float]] = {}
    for name, value in zip(names, rows.tolist(), strict=True):
        found.setdefault(name, []).append(value)
    return found.items()


def at_most(value: float, noise: float = _OTHER_NOISE) -> float:
    """A figure as it is published: two digits, rounded up, and never finer than noise."""
    exact = Decimal(repr(max(value, noise)))
    return float(exact.quantize(Decimal(1).scaleb(exact.adjusted() - 1), rounding=ROUND_CEILING))


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits}g}")
