"""TensorBoard events of a run, for those who ask for them: scalars, and histograms of the gates' rotation angles."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from so8t.errors import MissingExtra

_PLACES = {
    "loss": "loss/total",
    "task": "loss/task",
    "pet": "loss/pet",
    "orthogonality": "loss/orthogonality",
    "validation": "loss/validation",
    "pet_weight": "schedule/pet_weight",
    "learning_rate": "schedule/learning_rate",
    "gate_learning_rate": "schedule/gate_learning_rate",
    "epoch": "schedule/epoch",
    "gradient_norm": "gradients/all",
    "gate_gradient_norm": "gradients/gates",
}


def check() -> None:
    """Before training starts, not at its first sample."""
    if importlib.util.find_spec("tensorboard") is None:
        raise MissingExtra("tensorboard", "tensorboard", "adapter.monitor.tensorboard")


class Board:
    """Events of a run that begins, or goes on, after step `start`: what an earlier one wrote beyond it is hidden.

    `constants` are those of the probes: the layers that lists are about.  Events that cannot be written (a full disk)
    end with a word on stderr, and training goes on.
    """

    def __init__(self, folder: Path, start: int, constants: Mapping[str, Sequence[int]]) -> None:
        self._constants, self._working = constants, True
        self._writer: Any = None
        self._try(lambda: self._open(folder, start))

    def write(self, sample: Mapping[str, Any], angles: Sequence[Any], pace: Mapping[str, Any] | None = None) -> None:
        """A sample of the series, each gated layer's angles (a tensor), and a line of the interval's pace."""
        self._try(lambda: self._write(sample, angles, pace or {}))

    def close(self) -> None:
        self._try(lambda: self._writer.close())  # noqa: PLW0108 - there may be no writer

    def _open(self, folder: Path, start: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self._writer = SummaryWriter(str(folder), purge_step=start + 1)

    def _write(self, sample: Mapping[str, Any], angles: Sequence[Any], pace: Mapping[str, Any]) -> None:
        step = int(sample["step"])
        for tag, value in tags(sample, self._constants).items():
            self._writer.add_scalar(tag, value, step)
        for name in ("tokens_per_second", "resident", "device_peak"):
            if pace.get(name) is not None:
                self._writer.add_scalar(f"pace/{name}", pace[name], step)
        for layer, each in zip(self._constants["gated_layers"], angles, strict=True):
            sound = each[each.isfinite()]
            if len(sound):
                self._writer.add_histogram(f"angles/layer {layer:02}", sound.cpu(), step)

    def _try(self, act: Callable[[], None]) -> None:
        if not self._working:
            return
        try:
            act()
        except OSError as error:
            self._working = False
            print(f"TensorBoard events are not written any more: {error}", file=sys.stderr)


def tags(sample: Mapping[str, Any], constants: Mapping[str, Sequence[int]]) -> dict[str, float]:
    """Scalars by TensorBoard's tags, whose part before the slash is a section of its page."""
    found: dict[str, float] = {}
    for name, value in sample.items():
        if isinstance(value, list):
            layers = constants["decoder_layers" if name == "activations" else "gated_layers"]
            found.update({f"{name}/layer {layer:02}": each for layer, each in zip(layers, value, strict=True)})
        elif not isinstance(value, str) and name != "step":
            found[_PLACES.get(name, name.replace("_", "/", 1))] = value
    return found
