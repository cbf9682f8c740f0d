"""The training loss and its parts: cross-entropy of what is learned, PET, orthogonality."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from so8t.gate.layer import Gate
from so8t.gate.orthogonality import orthogonality_loss
from so8t.train.conversations import IGNORED
from so8t.train.pet import Form, pet, triples


@dataclass(frozen=True)
class Totals:
    """Counts over a whole step, all its micro-batches: sums over them make a mean that no splitting changes."""

    learned: Tensor
    triples: Tensor

    def over(self, processes: Callable[[Tensor], Tensor]) -> Totals:
        return Totals(processes(self.learned), processes(self.triples))


def totals(batches: Sequence[Mapping[str, Tensor]]) -> Totals:
    return Totals(
        torch.stack([(batch["labels"][:, 1:] != IGNORED).sum() for batch in batches]).sum(),
        torch.stack([triples(batch["sequence"]).sum() for batch in batches]).sum(),
    )


@dataclass(frozen=True)
class Pass:
    """One micro-batch through the model: the logits of what is learned, their labels, the last hidden states."""

    logits: Tensor  # (kept, vocabulary)
    labels: Tensor  # (kept,)
    hidden: Tensor  # (batch, time, width)
    summed: Tensor | None = None  # the cross-entropy, where a kernel made it, which needs no table of logits


def forward(model: Any, batch: Mapping[str, Tensor], told: Mapping[str, Any] | None = None) -> Pass:
    """Logits are computed at positions where some row learns: the vocabulary is wide, and prompts are long.

    `told` is what else the attention is to know.
    """
    labels = batch["labels"][:, 1:]
    kept = (labels != IGNORED).any(0).nonzero().squeeze(-1)
    logits, hidden = _through(model, batch, kept, told or {})
    chosen = labels[:, kept]
    learned = chosen != IGNORED
    return Pass(logits[learned], chosen[learned], hidden)


# weights of the head, hidden states (tokens, width), what is learned there -> the summed cross-entropy
FusedLoss = Callable[[Tensor, Tensor, Tensor], Tensor]


def fused(model: Any, batch: Mapping[str, Tensor], told: Mapping[str, Any], kernel: FusedLoss) -> Pass:
    """With the cross-entropy by a kernel; there are logits of one position alone."""
    labels = batch["labels"][:, 1:]
    learned = labels != IGNORED
    logits, hidden = _through(model, batch, learned.any(0).nonzero().squeeze(-1)[:1], told)
    weight: Any = head(model).weight
    return Pass(logits, labels, hidden, kernel(weight, hidden[:, :-1][learned], labels[learned]))


def head(model: Any) -> nn.Module:
    found: nn.Module = _inner(model).get_output_embeddings()
    return found


def _through(model: Any, batch: Mapping[str, Tensor], kept: Tensor, told: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
    """Logits at the positions that are kept, and the last hidden states."""
    seen: list[Tensor] = []
    hook = _decoder(model).register_forward_hook(lambda _m, _i, output: seen.append(output.last_hidden_state))
    try:
        positions = {"position_ids": batch["position_ids"]} if "position_ids" in batch else {}
        logits = model(input_ids=batch["input_ids"], logits_to_keep=kept, use_cache=False, **positions, **told).logits
    finally:
        hook.remove()
    return logits, seen[0]


def task_loss(made: Pass, whole: Totals) -> Tensor:
    """This micro-batch's part of the mean cross-entropy over the step's learned tokens, in float32 at least."""
    if made.summed is not None:
        return made.summed / whole.learned.clamp(min=1)
    logits = made.logits.to(torch.promote_types(made.logits.dtype, torch.float32))
    summed = nn.functional.cross_entropy(logits, made.labels, reduction="sum")
    return summed / whole.learned.clamp(min=1)


def pet_loss(made: Pass, sequence: Tensor, whole: Totals, form: Form, delta: float) -> Tensor:
    """This micro-batch's part of the step's mean."""
    share = triples(sequence).sum() / whole.triples.clamp(min=1)
    return pet(made.hidden, sequence, form, delta) * share


def gate_loss(gates: Mapping[int, Gate], like: Tensor) -> Tensor:
    return orthogonality_loss(gates.values(), like)


def _decoder(model: Any) -> nn.Module:
    """The decoder inside the language model."""
    decoder: nn.Module = _inner(model).get_decoder()
    return decoder


def _inner(model: Any) -> Any:
    """The language model, whatever wraps it."""
    while hasattr(model, "module"):  # data parallel
        model = model.module
    return model.get_base_model() if hasattr(model, "get_base_model") else model
