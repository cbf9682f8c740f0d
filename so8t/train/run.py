"""A run from its inputs to a trained adapter: set up, look before the first step, train or go on, leave the results."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from so8t.data.chat import ChatFormat
from so8t.errors import StageError
from so8t.gate import attach, storage
from so8t.gate.layer import Gate
from so8t.train import bases, callbacks, checkpoints, conversations, loading, losses, optimizer, order
from so8t.train.bases import Bits, Precision
from so8t.train.conversations import Conversations, Counts, Rows, collate
from so8t.train.encoding import Encoder
from so8t.train.numerics import deterministic
from so8t.train.preflight import preflight
from so8t.train.settings import Checkpoints, Gates, Lora, Monitor, Pet, Train, Validation
from so8t.train.trainer import GatedTrainer, Plan, save_weights


@dataclass(frozen=True)
class Job:
    """All of a run's settings and places."""

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


@dataclass(frozen=True)
class Result:
    steps: int
    planned: int
    published: int  # the step whose weights became the adapter
    loss: float
    validation: dict[int, float]
    data: Counts
    held_out: Counts | None
    optimizer: str
    trainable: int
    gates: dict[str, Any]


@dataclass(frozen=True)
class _Data:
    rows: Rows
    counts: Counts
    held_out: Conversations | None
    held_out_counts: Counts | None
    fill: int


def prepare(job: Job, work: Path) -> _Data:
    """Both splits as token ids; made again by a resumed run, for that is quick and always the same."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(job.base), local_files_only=True, trust_remote_code=job.remote_code)
    encoder = Encoder(tokenizer)
    room = job.train.sequence
    counts = conversations.write(work / "rows", conversations.read(job.train_split, job.chat, encoder), room)
    _tell(counts, room)
    held_out = held_counts = None
    if job.validation.records:
        read = conversations.read(job.validation_split, job.chat, encoder)
        held_counts = conversations.write(work / "held-out", islice(read, job.validation.records), room)
        if not held_counts.conversations:
            raise StageError(
                "adapter: the validation split is empty; give thinking_sft.fractions.validation a share, or set "
                "validation.records to 0"
            )
        held_out = Conversations(work / "held-out")
    rows = Rows(Conversations(work / "rows"), room if job.train.packing else None)
    fill = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    return _Data(rows, counts, held_out, held_counts, fill or 0)


def model(job: Job, place: torch.device) -> tuple[Any, dict[int, Gate]]:
    """The base with gates and LoRA, ready to learn."""
    base = bases.load(job.base, job.precision, job.quantise, place, job.remote_code)
    gates = storage.load(base, job.gate_folder)
    wrapped = loading.add_lora(base, job.lora, job.train.seed)
    if job.gates.train:
        attach.train(gates, alpha=job.gates.then == "learned")
    loading.ready(wrapped, job.quantise, job.train.gradient_checkpointing)
    return wrapped, gates


def train(job: Job, out: Path, logs: Path) -> Result:
    """Train to the end, or go on where a killed run stopped; `out`/training holds what that takes, until the end."""
    work = out / "training"
    work.mkdir(parents=True, exist_ok=True)
    checkpoints.sweep(work)
    place = loading.device(job.train)
    data = prepare(job, work)
    wrapped, gates = model(job, place)
    steps = order.steps_of(len(data.rows), job.train.batch, job.train.epochs, job.train.steps)
    form, reason = optimizer.choose(job.train.optimizer, place)
    _say(f"{len(data.rows):,} rows, {steps:,} steps on {place.type}; optimiser {form}: {reason}")
    plan = Plan(job.train, job.gates, job.pet, steps, round(job.train.warmup * steps), form, job.precision, data.fill)
    trainer = GatedTrainer(wrapped, data.rows, plan, gates, work)
    _check(job, trainer)
    stop = checkpoints.Stop()
    _attend(trainer, job, gates, data, stop, work)
    start = checkpoints.newest(work)
    if start:
        _say(f"going on after step {checkpoints.step_of(start)}")
    with stop.listening(), deterministic(job.train.threads, place):
        trainer.train(resume_from_checkpoint=str(start) if start else None)
    return _publish(trainer, job, data, gates, work, out)


def _check(job: Job, trainer: GatedTrainer) -> None:
    """The preflight, on the first row, as training will see it."""
    batch = trainer._prepare_inputs(collate([trainer.train_dataset[0]], trainer.plan.fill))  # type: ignore[index]
    expected = {name for name, _ in trainer.learner.named_parameters() if "lora_" in name}
    if job.gates.train:
        gate_names = {name for name, _ in trainer.learner.named_parameters() if loading.is_gate(name)}
        expected |= {name for name in gate_names if job.gates.then == "learned" or not name.endswith(".alpha")}

    def loss() -> torch.Tensor:
        with trainer.compute_loss_context_manager():
            made: torch.Tensor = trainer.compute_loss(trainer.learner, batch)
        return made

    needed = job.train.gradient_checkpointing or job.quantise != "none"
    preflight(trainer.learner, expected, loss, needed)


def _attend(
    trainer: GatedTrainer, job: Job, gates: Mapping[int, Gate], data: _Data, stop: checkpoints.Stop, work: Path
) -> None:
    """The callbacks, in the order in which they act at a step's end."""
    if job.gates.train and gates:
        start = next((float(gate.alpha.detach()) for gate in gates.values() if gate.kind != "free"), 0.0)
        trainer.add_callback(callbacks.Anneal(gates, callbacks.annealing(job.gates, start, trainer.plan.steps)))
    trainer.add_callback(callbacks.Finite(lambda: float(trainer.parts.task)))
    if data.held_out is not None:
        held_out = data.held_out
        trainer.add_callback(
            callbacks.Validate(
                job.validation,
                lambda: validation_loss(trainer, held_out),
                lambda folder: _keep(trainer.learner, folder),
                work,
            )
        )
    trainer.add_callback(callbacks.Save(job.checkpoints, work, stop))


def validation_loss(trainer: GatedTrainer, held_out: Conversations) -> float:
    """The mean cross-entropy of what the held-out conversations teach, long and short ones apart."""
    lengths = held_out.lengths
    numbers = sorted(range(len(held_out)), key=lambda number: (lengths[number], number))
    model = trainer.learner
    total = count = 0.0
    model.eval()
    try:
        with attach.held(model), trainer.compute_loss_context_manager():
            for start in range(0, len(numbers), trainer.plan.train.micro_batch):
                some = [[held_out[number]] for number in numbers[start : start + trainer.plan.train.micro_batch]]
                batch = trainer._prepare_inputs(collate(some, trainer.plan.fill))
                whole = losses.totals([batch])
                total += float(losses.task_loss(losses.forward(model, batch), whole)) * float(whole.learned)
                count += float(whole.learned)
    finally:
        model.train()
    return total / count


def _keep(model: Any, folder: Path) -> None:
    part = folder.with_name(f"{checkpoints.PART}-{folder.name}")
    save_weights(model, part)
    checkpoints.publish(part, folder)


def _publish(trainer: GatedTrainer, job: Job, data: _Data, gates: Mapping[int, Gate], work: Path, out: Path) -> Result:
    """The weights that the spec asks for, into the artifact."""
    seen = callbacks.history(trainer.state)
    done = trainer.state.global_step
    published = callbacks.best_step(seen) if job.validation.publish == "best" else done
    if published != done:
        trainer._load_from_checkpoint(str(work / f"{callbacks.BEST}{published}"))
    save_weights(trainer.learner, out)
    return Result(
        steps=done,
        planned=trainer.plan.steps,
        published=published,
        loss=float(trainer.parts.task),
        validation=seen,
        data=data.counts,
        held_out=data.held_out_counts,
        optimizer=trainer.plan.form,
        trainable=sum(parameter.numel() for parameter in loading.trainable(trainer.learner).values()),
        gates={str(layer): round(gate.g, 6) for layer, gate in gates.items()},
    )


def as_json(result: Result) -> dict[str, Any]:
    return asdict(result)


def _tell(counts: Counts, room: int) -> None:
    if counts.too_long:
        _say(f"{counts.too_long:,} conversations are longer than train.sequence ({room}) and stay out")
    if counts.nothing_to_learn:
        _say(f"{counts.nothing_to_learn:,} conversations end without an answer and stay out")


def _say(text: str) -> None:
    print(f"adapter: {text}", file=sys.stderr, flush=True)
