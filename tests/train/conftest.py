"""A run on the pico base: its gates, its conversations, its settings."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from so8t.formats import chat, records
from so8t.formats.thinking import TAGS
from so8t.gate import attach
from so8t.models import loading
from so8t.train.job import Job
from so8t.train.settings import Checkpoints, Gates, Lora, Monitor, Pet, Train, Validation
from so8t.weights import gatefiles
from tests.models.conftest import pico, sft  # noqa: F401 - fixtures


@dataclass(frozen=True)
class Place:
    """Where a run's inputs lie."""

    base: Path
    gates: Path
    sft: Path

    def job(self, **changes: Any) -> Job:
        return replace(
            Job(
                quantise="none",
                precision="float32",
                lora=Lora(r=4, alpha=8, dropout=0.1),
                gates=Gates(annealing=0.5, learning_rate=0.01),
                pet=Pet(),
                train=Train(steps=6, batch=4, micro_batch=2, sequence=256, learning_rate=0.01, threads=1),
                validation=Validation(every=3, conversations=4),
                checkpoints=Checkpoints(steps=2, keep=2),
                monitor=Monitor(every=2),
                base=self.base,
                gate_folder=self.gates,
                remote_code=False,
                train_split=self.sft / "splits" / "train.jsonl",
                validation_split=self.sft / "splits" / "validation.jsonl",
                chat=chat.PHI3,
                thinking=TAGS,
            ),
            **changes,
        )


def gates_for(base: Path, folder: Path, **options: Any) -> Path:
    model = loading.load(base)
    attach.attach(model, "all", **options)
    folder.mkdir(parents=True, exist_ok=True)
    gatefiles.save(model, folder, {})
    return folder


@pytest.fixture(scope="session")
def place(pico: Path, sft: Path, tmp_path_factory: pytest.TempPathFactory) -> Place:  # noqa: F811
    folder = tmp_path_factory.mktemp("run")
    shutil.copytree(sft, folder / "sft")
    rows = list(records.read(sft / "splits" / "train.jsonl"))
    records.write(folder / "sft" / "splits" / "train.jsonl", rows[:-6])
    records.write(folder / "sft" / "splits" / "validation.jsonl", rows[-6:])
    return Place(pico, gates_for(pico, folder / "gates"), folder / "sft")


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def wide(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The same with a base whose widths bitsandbytes' NF4 takes on a processor: multiples of 64."""
    from transformers import AutoConfig, AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("wide")
    shutil.copytree(place.base, folder / "base")
    config = AutoConfig.from_pretrained(place.base)
    config.hidden_size, config.intermediate_size = 64, 128
    torch.manual_seed(3)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder / "base")
    return replace(place, base=folder / "base", gates=gates_for(folder / "base", folder / "gates"))
