"""Samples for the series at the steps that are due, and word of every step to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState

from so8t.train import callbacks
from so8t.train.conversations import IGNORED
from so8t.train.probes import GateSample, Probes
from so8t.train.series import Series
from so8t.train.trainer import GatedTrainer


class Audience(Protocol):
    """Who is told: progress on a terminal, logs.  Nothing comes back."""

    def began(self, step: int) -> None: ...
    def step(self, step: int, tokens: int, loss: float) -> None: ...
    def sample(self, sample: Mapping[str, Any], gates: GateSample) -> None: ...


class Unwatched(nullcontext[Audience]):
    """Nobody is told."""

    def __init__(self, steps: int, layers: Mapping[str, Sequence[int]]) -> None:
        super().__init__(self)

    def began(self, step: int) -> None: ...
    def step(self, step: int, tokens: int, loss: float) -> None: ...
    def sample(self, sample: Mapping[str, Any], gates: GateSample) -> None: ...


class Sampler(TrainerCallback):
    """Comes after validation, whose figure is part of the sample, and before checkpoints, which count on the series."""

    def __init__(
        self, trainer: GatedTrainer, probes: Probes, series: Series, due: Callable[[int], bool], audience: Audience
    ) -> None:
        self._trainer, self._probes, self._series = trainer, probes, series
        self._due, self._audience = due, audience

    def on_train_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._series.rewind(state.global_step)
        self._audience.began(state.global_step)

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._trainer.watch_forward = self._arm if self._due(state.global_step + 1) else None

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        parts, step = self._trainer.parts, state.global_step
        self._audience.step(step, parts.tokens, float(parts.task))
        if self._due(step):
            gates = self._probes.gates()
            sample = self._sample(state, gates)
            self._series.append(sample)
            self._audience.sample(sample, gates)
        if control.should_save:
            self._series.sync()

    def _arm(self, batch: Mapping[str, Tensor]) -> AbstractContextManager[None]:
        return self._probes.armed(batch["sequence"], batch["labels"][:, 1:] != IGNORED)

    def _sample(self, state: TrainerState, gates: GateSample) -> dict[str, Any]:
        trainer, step = self._trainer, state.global_step
        parts, phase = trainer.parts, trainer.phase_of(step - 1)
        validation = callbacks.history(state).get(step)
        rates, gated = trainer.rates, trainer.recipe.gates.train
        norms = {name: float(norm) for name, norm in trainer.gradient_norms.items()}
        return {
            "step": step,
            "epoch": round(step * trainer.recipe.train.batch / len(trainer.rows), 6),
            "loss": float(parts.total),
            "task": float(parts.task),
            "pet": float(parts.pet),
            "orthogonality": float(parts.orthogonality),
            **({callbacks.LOSS: validation} if validation is not None else {}),
            "pet_weight": phase.weight,
            "phase": phase.name,
            "learning_rate": rates[0],
            **({"gate_learning_rate": rates[1]} if gated else {}),
            "gradient_norm": norms["all"],
            **({"gate_gradient_norm": norms["gates"]} if gated else {}),
            **gates.figures,
            **self._probes.activity(),
        }
