"""Pairs of answers to one question as rows to train on, and the two losses that prefer one answer to the other."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional

from so8t.formats import chat
from so8t.formats.chat import ChatFormat
from so8t.formats.encoding import Encoder
from so8t.formats.records import Record
from so8t.train import conversations
from so8t.train.conversations import IGNORED, Conversations, Counts, collate
from so8t.train.losses import Pass

if TYPE_CHECKING:
    import numpy

    Sided = tuple[numpy.ndarray, numpy.ndarray]

CHOSEN, REJECTED = "chosen", "rejected"


def write(folder: Path, found: Sequence[Record], fmt: ChatFormat, encoder: Encoder, longest: int) -> Counts:
    """Both sides of each pair, under `folder`; a pair of which one is too long stays out, whole."""
    sides = {side: list(encoder.each(_segments(found, side, fmt))) for side in (CHOSEN, REJECTED)}
    fits = [all(len(one.ids) <= longest for one in pair) for pair in zip(*sides.values(), strict=True)]
    both = [
        conversations.write(folder / side, (one for one, fit in zip(encoded, fits, strict=True) if fit), longest)
        for side, encoded in sides.items()
    ]
    return Counts(
        conversations=sum(fits),
        too_long=len(fits) - sum(fits),
        nothing_to_learn=0,
        tokens=sum(side.tokens for side in both),
        learned=sum(side.learned for side in both),
    )


def _segments(found: Iterable[Record], side: str, fmt: ChatFormat) -> Iterator[list[chat.Segment]]:
    for pair in found:
        yield chat.segments([*pair["prompt"], {"role": "assistant", "content": pair[side]}], fmt)


class PairRows:
    """Rows of one pair: its number, what was chosen, what was rejected."""

    def __init__(self, folder: Path) -> None:
        self._sides = [Conversations(folder / side) for side in (CHOSEN, REJECTED)]
        self.lengths = array("Q", map(max, zip(*(side.lengths for side in self._sides), strict=True)))

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> tuple[int, Sided, Sided]:
        chosen, rejected = (side[number] for side in self._sides)
        return number, chosen, rejected


def together(rows: Sequence[tuple[int, Sided, Sided]], fill: int, unit: int) -> dict[str, Tensor]:
    """One batch: all that was chosen, then all that was rejected, and the numbers of the pairs."""
    sides = [*(chosen for _, chosen, _ in rows), *(rejected for _, _, rejected in rows)]
    return {**collate([[side] for side in sides], fill, unit), "pair": torch.tensor([number for number, _, _ in rows])}


def likelihoods(made: Pass, labels: Tensor) -> tuple[Tensor, Tensor]:
    """For each conversation the log-likelihood of what is learned in it, and of how many tokens."""
    learned = (labels[:, 1:] != IGNORED).nonzero()[:, 0]
    logits = made.logits.to(torch.promote_types(made.logits.dtype, torch.float32))
    each = -functional.cross_entropy(logits, made.labels, reduction="none")
    sums = each.new_zeros(len(labels)).index_add(0, learned, each)
    return sums, torch.bincount(learned, minlength=len(labels))


def odds_ratio(chosen: Tensor, rejected: Tensor) -> Tensor:
    """ORPO's loss for each pair, from the mean log-likelihoods of tokens (arXiv 2403.07691, equation 7)."""
    odds = (chosen - rejected) - (_log1mexp(chosen) - _log1mexp(rejected))
    return -functional.logsigmoid(odds)


def _log1mexp(x: Tensor) -> Tensor:
    """log(1 - exp(x)) for x < 0, also where exp(x) is nearly 1."""
    x = x.clamp(max=-1e-6)
    return torch.where(x > -0.6931, torch.log(-torch.expm1(x)), torch.log1p(-torch.exp(x)))


def direct(margin: Tensor, before: Tensor, beta: float) -> Tensor:
    """DPO's loss for each pair: by how much the chosen answer is likelier, beside the model that training began with
    (arXiv 2305.18290, equation 7)."""
    return -functional.logsigmoid(beta * (margin - before))
