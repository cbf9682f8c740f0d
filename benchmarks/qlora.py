"""QLoRA with gates as the adapter stage trains it, against plain PEFT under Hugging Face's Trainer.

    python benchmarks/qlora.py [--shape small | phi-3.5-mini] [--quantise int8 | nf4] [--steps 6] [--cap-gb 12]

A checkpoint of random weights is written first: bfloat16, Phi-3. Each side is a fresh process: the base in a few bits,
LoRA on every projection, gradient checkpointing, whole rows, one at a time. On CUDA each may take no more than
--cap-gb of the device's memory, allocator's reserve included, and ends with an error beyond it; the optimiser is paged
8-bit AdamW. On a processor the same runs on the small shape, with plain AdamW and without a cap: that proves the
script, not the claim. The first step sets up and does not count.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import weights
from pairs import status, surroundings, table, write_json


@dataclass(frozen=True)
class Size:
    shape: weights.Shape
    length: int
    batch: int  # rows in a step


SIZES = {
    "small": Size(weights.Shape(256, 768, 4, 4, 2048, 8), 64, 2),
    "phi-3.5-mini": Size(weights.SHAPES["phi-3.5-mini"], 2048, 16),
}


class Rows:
    """Random tokens, every one of them learned: (ids, labels) by number."""

    def __init__(self, size: Size, count: int) -> None:
        self.lengths = [size.length] * count
        self._words = size.shape.words

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> list[tuple[Any, Any]]:
        import numpy

        ids = numpy.random.default_rng(number).integers(3, self._words, self.lengths[number])
        return [(ids, ids)]


def so8t(folder: Path, size: Size, options: argparse.Namespace) -> Any:
    """The trainer of the adapter stage, gates and all their losses included."""
    from so8t.formats.chat import PHI3
    from so8t.formats.thinking import TAGS
    from so8t.train import lora, optimizer, run
    from so8t.train.job import Job
    from so8t.train.settings import Checkpoints, Gates, Lora, Monitor, Pet, Train, Validation
    from so8t.train.trainer import GatedTrainer, Recipe

    train = Train(
        batch=size.batch, micro_batch=1, sequence=size.length, gradient_checkpointing=True, threads=options.threads
    )
    job = Job(
        quantise=options.quantise,
        precision="bfloat16",
        lora=Lora(r=size.shape.rank, alpha=2 * size.shape.rank),
        gates=Gates(),
        pet=Pet(),
        train=train,
        validation=Validation(conversations=0),
        checkpoints=Checkpoints(),
        monitor=Monitor(),
        base=folder / "base",
        gate_folder=folder / "adapter",
        remote_code=False,
        train_split=folder,  # the rows are made here
        validation_split=folder,
        chat=PHI3,
        thinking=TAGS,
    )
    device = lora.device(train)
    learner, gates = run.model(job, device)
    form, _ = optimizer.choose("auto", device)
    recipe = Recipe(train, job.gates, job.pet, options.steps, 1, form, job.precision, fill=0)
    return GatedTrainer(learner, Rows(size, options.steps * size.batch), recipe, gates, folder / "so8t")  # type: ignore[arg-type]


def peft(folder: Path, size: Size, options: argparse.Namespace) -> Any:
    """What PEFT's guide to quantised training does, on a base that was loaded as ours."""
    import torch
    from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
    from transformers import PrinterCallback, Trainer, TrainingArguments

    from so8t.models import loading

    cuda, how = torch.cuda.is_available(), {"use_reentrant": False}
    model = loading.load(folder / "base", "bfloat16", options.quantise, torch.device("cuda" if cuda else "cpu"))
    model = prepare_model_for_kbit_training(model, gradient_checkpointing_kwargs=how)
    rank, targets = size.shape.rank, ["qkv_proj", "o_proj", "gate_up_proj", "down_proj"]
    model = get_peft_model(
        model, LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=targets, task_type="CAUSAL_LM")
    )
    arguments = TrainingArguments(
        output_dir=str(folder / "peft"),
        max_steps=options.steps,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=size.batch,
        gradient_checkpointing=True,
        gradient_checkpointing_kwargs=how,
        learning_rate=2e-4,
        bf16=True,
        optim="paged_adamw_8bit" if cuda else "adamw_torch",
        use_cpu=not cuda,
        remove_unused_columns=False,
        save_strategy="no",
        logging_strategy="no",
        report_to=[],
        disable_tqdm=True,
    )

    def collated(rows: Sequence[list[tuple[Any, Any]]]) -> dict[str, Any]:
        ids = torch.stack([torch.from_numpy(row[0][0]) for row in rows])
        return {"input_ids": ids, "labels": ids}

    trainer = Trainer(
        model=model, args=arguments, train_dataset=Rows(size, options.steps * size.batch), data_collator=collated
    )  # type: ignore[arg-type]
    trainer.remove_callback(PrinterCallback)
    return trainer


SIDES = {"so8t": so8t, "PEFT": peft}


@dataclass
class Clock:
    seconds: list[float] = field(default_factory=list)
    begun: float = 0.0

    def callback(self) -> Any:
        import torch
        from transformers import TrainerCallback

        def now() -> float:
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            return time.perf_counter()

        class Timing(TrainerCallback):
            def on_step_begin(_self, *_: Any, **__: Any) -> None:
                self.begun = now()

            def on_step_end(_self, *_: Any, **__: Any) -> None:
                self.seconds.append(now() - self.begun)

        return Timing()


def measured(side: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """One side in this process, which does nothing else."""
    import torch

    size, clock = SIZES[options.shape], Clock()
    torch.set_num_threads(options.threads)
    if cuda := torch.cuda.is_available():
        whole = torch.cuda.get_device_properties(0).total_memory
        torch.cuda.set_per_process_memory_fraction(min(1.0, options.cap_gb * 1e9 / whole))
    trainer = SIDES[side](folder, size, options)
    trainer.add_callback(clock.callback())
    loss = trainer.train().training_loss
    tokens = size.length * size.batch
    return {
        "device": torch.cuda.get_device_name(0) if cuda else "cpu",
        "step_s": median(clock.seconds[1:]),
        "tokens_per_s": tokens / median(clock.seconds[1:]),
        "allocated": torch.cuda.max_memory_allocated() if cuda else None,
        "reserved": torch.cuda.max_memory_reserved() if cuda else status("self", "VmHWM"),
        "loss": loss,
        "steps_s": clock.seconds,
    }


def elsewhere(side: str, folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    argv = [sys.executable, __file__, "--side", side, "--folder", str(folder), "--shape", options.shape]
    argv += ["--quantise", options.quantise, "--steps", str(options.steps), "--cap-gb", str(options.cap_gb)]
    argv += ["--threads", str(options.threads)]
    done = subprocess.run(argv, check=False, env=surroundings(), capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise SystemExit(f"{side} ended with exit code {done.returncode}\n{done.stderr[-2000:]}")
    facts: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return facts


def row(side: str, facts: dict[str, Any]) -> Sequence[str]:
    allocated = facts["allocated"]
    return (
        side,
        f"{facts['step_s']:.2f}",
        f"{facts['tokens_per_s']:,.0f}",
        f"{allocated / 1e9:.2f}" if allocated else "-",
        f"{facts['reserved'] / 1e9:.2f}",
        f"{facts['loss']:.3f}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--shape", choices=SIZES, default="small")
    parser.add_argument("--quantise", choices=("int8", "nf4"), default="int8")
    parser.add_argument("--steps", type=int, default=6, help="of the optimiser; the first is not counted")
    parser.add_argument("--cap-gb", type=float, default=12.0, help="of CUDA memory for each side, in 10^9 bytes")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the model goes; a temporary one by default")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        print(json.dumps(measured(options.side, options.folder, options)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder, prefix="qlora-") as name:
        folder = Path(name)
        weights.make(folder, SIZES[options.shape].shape)
        found = {side: elsewhere(side, folder, options) for side in SIDES}
    cap = f"at most {options.cap_gb:g} GB" if found["so8t"]["allocated"] else "no cap: there is no CUDA device"
    print(f"{options.shape}, {options.quantise}, {found['so8t']['device']}, {cap}\n")
    head = ("", "s a step", "tokens/s", "allocated GB", "reserved GB", "mean loss")
    print(table(head, [row(side, facts) for side, facts in found.items()]))
    speed = found["so8t"]["tokens_per_s"] / found["PEFT"]["tokens_per_s"]
    print(f"\nso8t with gates gives {speed:.3f} of PEFT's tokens/s and takes ", end="")
    print(f"{found['so8t']['reserved'] / found['PEFT']['reserved']:.3f} of its memory.")
    write_json(options.json, found)


if __name__ == "__main__":
    main()
