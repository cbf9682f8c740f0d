"""What a run is given and what it gives: settings and places before, figures after."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from so8t.formats.chat import ChatFormat
from so8t.formats.thinking import ThinkingFormat
from so8t.models.facts import UNNAMED, Called
from so8t.models.loading import Bits, Precision
from so8t.train.conversations import Counts
from so8t.train.settings import Checkpoints, Gates, Lora, Monitor, Pet, Train, Validation


@dataclass(frozen=True)
class Preference:
    """That an adapter goes on learning, from pairs."""

    form: Literal["orpo", "dpo"]
    beta: float
    imitate: float
    pairs: Path  # records with prompt, chosen and rejected
    start: Path  # the adapter


@dataclass(frozen=True)
class Job:
    quantise: Bits
    precision: Precision
    lora: Lora
    gates: Gates
    pet: Pet
    train: Train
    validation: Validation
    checkpoints: Checkpoints
    monitor: Monitor
    base: Path  # a checkpoint folder
    gate_folder: Path
    remote_code: bool
    train_split: Path
    validation_split: Path
    chat: ChatFormat
    thinking: ThinkingFormat
    called: Called = UNNAMED
    added: tuple[int, ...] = ()  # tokens that the base was given
    preference: Preference | None = None

    @property
    def stage(self) -> str:
        return "preference" if self.preference else "adapter"


@dataclass(frozen=True)
class Result:
    steps: int
    planned: int
    published: int  # the step whose weights became the adapter
    loss: float
    validation: dict[str, float]  # by step
    data: Counts
    held_out: Counts | None
    optimizer: str
    trainable: int
    g: dict[str, float]  # by layer
    kernels: dict[str, str] | None = None  # on CUDA, by part: on, or why not

    def as_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if name != "kernels" or value is not None}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Result:
        held_out = value["held_out"]
        return cls(**{**value, "data": Counts(**value["data"]), "held_out": held_out and Counts(**held_out)})
