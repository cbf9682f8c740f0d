"""adapter: LoRA and gates, trained over a base in full, 8 or 4 bits; a killed run goes on and ends the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from so8t.engine.stage import Inputs, Stage
from so8t.formats import declared
from so8t.spec.fields import At, SpecModel
from so8t.train.settings import Checkpoints, Gates, Lora, Pet, Train, Validation
from so8t.train.settings import Monitor as MonitorSpec

if TYPE_CHECKING:
    from so8t.train.job import Job


class Spec(SpecModel):
    """How the adapter is trained."""

    quantise: Literal["none", "int8", "nf4"] = "int8"
    """The base in memory: in full, LLM.int8, or NF4, by bitsandbytes; the adapter is merged into the full one."""
    precision: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    """In which the base computes; what learns is float32."""
    lora: Lora = Lora()
    """The low-rank part."""
    gates: Gates = Gates()
    """The gates."""
    pet: Pet = Pet()
    """The penalty on jumps along time."""
    train: Train = Train()
    """The run."""
    validation: Validation = Validation()
    """What is watched on held-out conversations."""
    checkpoints: Checkpoints = Checkpoints()
    """What a killed run goes on from."""
    monitor: MonitorSpec = MonitorSpec()
    """The series."""


def agrees(spec: Spec, specs: Mapping[str, Any]) -> Iterator[At]:
    if spec.precision == "float16" and spec.train.lanes > 1:
        text = "float16 scales each loss by what earlier steps met, which a lane alone does not know: take bfloat16"
        yield At(text, "adapter.precision", "adapter.train.lanes")
    if spec.train.shard == "full" and spec.quantise == "int8":
        text = (
            "bitsandbytes' Linear8bitLt loses its scales when FSDP2 divides it: take nf4 or none, or train.shard: none"
        )
        yield At(f"int8 does not go with train.shard: full, for {text}", "adapter.quantise", "adapter.train.shard")
    if spec.train.shard == "full" and spec.train.lanes == 1:
        text = "full divides the base among the processes that compute lanes, and there is one lane: set train.lanes"
        yield At(text, "adapter.train.shard", "adapter.train.lanes")


def lacks(spec: Spec) -> Iterator[str]:
    from so8t.watch import cuda

    return cuda.lacks("train.device", spec.train.device)


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    from so8t.watch.quiet import quiet

    with quiet():  # while they are imported, too
        from so8t.train import run
        from so8t.watch import memory
        from so8t.watch.monitor import Monitor

    job = _job(inputs, spec)
    logs = Path(spec.monitor.logs) if spec.monitor.logs else inputs.scratch
    with quiet(), memory.explained(spec.train, spec.quantise):
        result = run.train(job, out, partial(Monitor, "adapter", logs, spec.monitor.tensorboard))
    print(
        f"adapter: {result.steps:,} steps, loss {result.loss:.4f}, {result.trainable:,} parameters trained",
        file=sys.stderr,
    )


def _job(inputs: Inputs, spec: Spec) -> Job:
    from so8t.models import facts
    from so8t.train.job import Job

    sft = inputs["thinking_sft"]
    given = declared.read(inputs["chat_format"])
    return Job(
        quantise=spec.quantise,
        precision=spec.precision,
        lora=spec.lora,
        gates=spec.gates,
        pet=spec.pet,
        train=spec.train,
        validation=spec.validation,
        checkpoints=spec.checkpoints,
        monitor=spec.monitor,
        base=inputs["base_model"] / "model",
        gate_folder=inputs["so8t_model"],
        remote_code=facts.remote_code(inputs["base_model"]),
        called=facts.called(inputs["base_model"]),
        train_split=sft / "splits" / "train.jsonl",
        validation_split=sft / "splits" / "validation.jsonl",
        chat=given.chat,
        thinking=given.thinking,
        added=facts.added(inputs["base_model"]),
    )


STAGE = Stage(
    "adapter",
    spec=Spec,
    build=build,
    takes=(
        "base_model",
        "so8t_model",
        "thinking_sft/splits/train.jsonl",
        "thinking_sft/splits/validation.jsonl",
        declared.TAKEN,
    ),
    gives=(
        "adapter_config.json",
        "adapter_model.safetensors",
        "gates.safetensors",
        "so8t.json",
        "training.json",
        "monitoring/",
    ),
    packages=("orjson", "torch", "transformers", "peft", "bitsandbytes", "accelerate", "safetensors"),
    agrees=agrees,
    lacks=lacks,
    resumable=True,
    precious=True,
)
