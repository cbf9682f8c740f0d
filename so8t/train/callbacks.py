"""What happens between steps: gates are annealed, validation is looked at, checkpoints are made, a stop is heard."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState

from so8t.errors import StageError
from so8t.gate.layer import Gate
from so8t.gate.schedule import Annealing
from so8t.train import checkpoints
from so8t.train.checkpoints import Due, Stop
from so8t.train.settings import Checkpoints, Gates, Validation

LOSS = "validation"
BEST = "best-"


class Anneal(TrainerCallback):
    """Alpha by the schedule while training warms up; what it learns meanwhile is thrown away, moments included."""

    def __init__(self, gates: Mapping[int, Gate], annealing: Annealing) -> None:
        self._gates = [gate for gate in gates.values() if gate.kind.opens]
        self._annealing = annealing

    def on_step_begin(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step <= self._annealing.steps:
            for gate in self._gates:
                gate.set_alpha(self._annealing.alpha(state.global_step))

    def on_pre_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if state.global_step < self._annealing.steps:
            for gate in self._gates:
                gate.alpha.grad = None


def annealing(gates: Gates, start: float, steps: int) -> Annealing:
    return Annealing(round(gates.annealing * steps), start, gates.target, gates.shape)


class Finite(TrainerCallback):
    """A loss that is NaN stays NaN: stop where it happened."""

    def __init__(self, loss: Callable[[], float]) -> None:
        self._loss = loss

    def on_pre_optimizer_step(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        value = self._loss()
        if not math.isfinite(value):
            raise StageError(
                f"adapter: the loss is {value} at step {state.global_step + 1} of {state.max_steps}; lower "
                "train.learning_rate or gates.learning_rate, or take a wider precision; the last checkpoint is kept"
            )


class Validate(TrainerCallback):
    """The loss on held-out conversations; its history lies in the trainer's own, so that a checkpoint carries it."""

    def __init__(
        self, settings: Validation, loss: Callable[[], float], save: Callable[[Path], None], folder: Path
    ) -> None:
        self._settings, self._loss, self._save, self._folder = settings, loss, save, folder

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        step = state.global_step
        if step % self._settings.every and step != state.max_steps:
            return
        state.log_history.append({"step": step, LOSS: self._loss()})
        if self._settings.publish == "best" and best_step(history(state)) == step:
            self._save(self._folder / f"{BEST}{step}")
            control.should_save = True
        if ended(state, self._settings):
            control.should_training_stop = True
            control.should_save = True

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Earlier bests go when a checkpoint knows of the new one."""
        seen = history(state)
        for folder in self._folder.glob(f"{BEST}*"):
            if int(folder.name.removeprefix(BEST)) != best_step(seen):
                checkpoints.remove(folder)


def ended(state: TrainerState, settings: Validation) -> bool:
    """Whether the last step is done, or patience is."""
    seen = history(state)
    worse = sum(step > best_step(seen) for step in seen)
    return state.global_step >= state.max_steps or bool(settings.patience and worse >= settings.patience)


def history(state: TrainerState) -> dict[int, float]:
    """Validation losses by step."""
    return {int(entry["step"]): float(entry[LOSS]) for entry in state.log_history if LOSS in entry}


def best_step(seen: Mapping[int, float]) -> int:
    """Of the lowest loss; of equal ones, the first."""
    return min(seen, key=lambda step: (seen[step], step), default=0)


class Save(TrainerCallback):
    """Checkpoints when they are due, and one more when the run is told to stop."""

    def __init__(self, settings: Checkpoints, folder: Path, stop: Stop) -> None:
        self._settings, self._folder, self._stop = settings, folder, stop
        self._due = Due(settings.steps, settings.minutes)

    def on_step_end(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        if self._due(state.global_step) or self._stop.asked or state.global_step == state.max_steps:
            control.should_save = True

    def on_save(self, args: Any, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        self._due.saved()
        checkpoints.prune(self._folder, self._settings.keep)
        if self._stop.asked:
            raise KeyboardInterrupt
