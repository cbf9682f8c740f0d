"""The loop that trains a small model from nothing, and goes on where it was killed: the result is the same.

Bit for bit on the same machine with the same thread count and library versions: another processor may sum in
another order.  It uses no dropout, and batches are a function of the step, so a checkpoint holds no random state.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.errors import StageError
from so8t.models.documents import IGNORED, Batches
from so8t.store import running
from so8t.store.atomic import sync

if TYPE_CHECKING:
    import numpy
    from torch import nn
    from torch.optim import Optimizer

    from so8t.models.lanes import Lanes

BETAS = (0.9, 0.95)
DECAY = 0.01
LONGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class Schedule:
    """The learning rate: up in a straight line, then down along a cosine to a twentieth."""

    steps: int
    warmup: int
    peak: float

    def rate(self, step: int) -> float:
        if step < self.warmup:
            return self.peak * (step + 1) / self.warmup
        share = (step - self.warmup) / max(1, self.steps - self.warmup)
        return self.peak * (0.05 + 0.95 * (1 + math.cos(math.pi * share)) / 2)


def pretrain(
    model: nn.Module, batches: Batches, schedule: Schedule, kept: Path, every: int, lanes: Lanes | None = None
) -> float:
    """Train to the end of the schedule and return the last loss; `kept` holds the state after each `every` steps."""
    import torch

    optimizer = torch.optim.AdamW(model.parameters(), lr=schedule.peak, betas=BETAS, weight_decay=DECAY, fused=True)
    start, loss = _resume(kept, model, optimizer)
    model.train()
    for step in range(start, schedule.steps):
        loss = _step(model, optimizer, batches[step], schedule.rate(step), lanes)
        running.tell("step", step + 1, schedule.steps, start, detail=f"loss {loss:.3f}")
        if not math.isfinite(loss):
            raise StageError(
                f"base_model: the loss is {loss} at step {step + 1} of {schedule.steps}; lower source.learning_rate"
            )
        if (step + 1) % every == 0 or step + 1 == schedule.steps:
            _save(kept, step + 1, loss, model, optimizer)
        if (step + 1) % max(1, schedule.steps // 5) == 0:
            print(f"base_model: step {step + 1} of {schedule.steps}, loss {loss:.3f}", file=sys.stderr, flush=True)
    return loss


Table = tuple["numpy.ndarray", "numpy.ndarray"]  # ids and labels


def _step(model: nn.Module, optimizer: Optimizer, table: Table, rate: float, lanes: Lanes | None) -> float:
    import torch

    for group in optimizer.param_groups:
        group["lr"] = rate
    if lanes:
        loss = sum(lanes.gradients(deal(table, lanes.count), partial(lane, model)))
    else:
        loss = lane(model, (*table, None))
    torch.nn.utils.clip_grad_norm_(model.parameters(), LONGEST_GRADIENT)
    optimizer.step()
    optimizer.zero_grad()
    return loss


Work = tuple["numpy.ndarray", "numpy.ndarray", int | None]  # and what is learned in all lanes


def deal(table: Table, lanes: int) -> list[Work]:
    """The rows in lanes, each as wide as its longest row."""
    ids, labels = table
    share, learned = len(ids) // lanes, int((labels[:, 1:] != IGNORED).sum())
    dealt: list[Work] = []
    for start in range(0, len(ids), share):
        rows = slice(start, start + share)
        width = int((labels[rows] != IGNORED).any(0).nonzero()[0][-1]) + 1
        dealt.append((ids[rows, :width], labels[rows, :width], learned))
    return dealt


def lane(model: nn.Module, work: Work) -> float:
    """The gradient of these rows is left in the parameters; their part of the mean loss."""
    import torch

    *table, learned = work
    ids, labels = map(torch.from_numpy, table)
    counted = {} if learned is None else {"num_items_in_batch": learned}
    loss = model(input_ids=ids, labels=labels, use_cache=False, **counted).loss
    loss.backward()
    return float(loss.item())


# ---- the state of an unfinished run: safetensors, for a pickle can run code --------------------------------------


def _save(path: Path, step: int, loss: float, model: nn.Module, optimizer: Optimizer) -> None:
    from safetensors.torch import save_file

    tensors: dict[str, Any] = {f"model.{name}": value.detach() for name, value in model.named_parameters()}
    for name, parameter in model.named_parameters():
        state = optimizer.state[parameter]
        tensors |= {f"{moment}.{name}": state[moment] for moment in ("exp_avg", "exp_avg_sq")}
    part = path.with_name(f"{path.name}.part")
    save_file(tensors, str(part), metadata={"step": str(step), "loss": loss.hex()})
    sync(part)
    part.replace(path)


def _resume(path: Path, model: nn.Module, optimizer: Optimizer) -> tuple[int, float]:
    """Load what was kept, if anything was; (steps done, last loss)."""
    import torch
    from safetensors import safe_open

    if not path.exists():
        return 0, math.nan
    with safe_open(str(path), framework="pt") as kept:
        facts: Mapping[str, str] = kept.metadata()
        step = int(facts["step"])
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(kept.get_tensor(f"model.{name}"))
                optimizer.state[parameter] = {
                    "step": torch.tensor(float(step)),
                    "exp_avg": kept.get_tensor(f"exp_avg.{name}").clone(),
                    "exp_avg_sq": kept.get_tensor(f"exp_avg_sq.{name}").clone(),
                }
    print(f"base_model: going on after step {step}", file=sys.stderr, flush=True)
    return step, float.fromhex(facts["loss"])
