"""A run from its inputs to a trained adapter: set up, look before the first step, train or go on, leave the results."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import torch
from torch import Tensor, nn
from transformers import TrainerState

from so8t.engine import torchrun
from so8t.errors import StageError
from so8t.gate import attach
from so8t.gate.layer import Gate
from so8t.models import exchange, joined, lanes, loading, order
from so8t.models.lanes import Lanes
from so8t.models.numerics import deterministic
from so8t.store.atomic import move, sync
from so8t.train import callbacks, checkpoints, fused, lora, losses, optimizer, series, sharding, splits
from so8t.train.checkpoints import Stop
from so8t.train.conversations import Conversations, Rows
from so8t.train.job import Job, Result
from so8t.train.pairs import PairRows
from so8t.train.preference import PairTrainer
from so8t.train.preflight import preflight
from so8t.train.probes import Probes
from so8t.train.sampling import Audience, Sampler, Unwatched
from so8t.train.series import Series
from so8t.train.settings import Train
from so8t.train.sharding import is_sharded
from so8t.train.splits import Data
from so8t.train.trainer import GatedTrainer, Recipe, load_weights, save_weights
from so8t.watch.quiet import quiet
from so8t.weights import gatefiles

STATE = "trainer_state.json"
RESULT = "training.json"  # the last of the results
_PRETTY = orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE


# steps and the gates' layers -> who is told
Watched = Callable[[int, Mapping[str, Sequence[int]]], AbstractContextManager[Audience]]


def train(job: Job, out: Path, watched: Watched = Unwatched) -> Result:
    """Train to the end, or go on where a killed run stopped.

    `out`/training holds what that takes; it goes when `out`/training.json, the last of the results, is in place.
    """
    work = out / "training"
    if not (out / RESULT).exists():
        results = _run(job, work, watched)
        for path in sorted(results.rglob("*"), key=lambda path: path.name == RESULT):
            if path.is_file():
                sync(path)
                move(path, out / path.relative_to(results))
    shutil.rmtree(work, ignore_errors=not work.exists())
    return Result.from_json(orjson.loads((out / RESULT).read_bytes()))


def _run(job: Job, work: Path, watched: Watched) -> Path:
    work.mkdir(parents=True, exist_ok=True)
    checkpoints.sweep(work)
    device = lora.device(job.train)
    with deterministic(job.train.threads, device, job.train.matmul), Series(work / "series.jsonl") as samples:
        data = splits.prepare(job, work)
        recipe = _recipe(job, data, device)
        learner, gates = model(job, device)
        with dealt(job, learner, recipe, device, work) as together:
            trainer = _trainer(job, learner, data, recipe, gates, work)
            trainer.lanes = together
            _check(job, trainer)
            chosen = fused.settle(trainer, job) if device.type == "cuda" else None
            if chosen and together:
                together.aside(chosen)
            _train(job, trainer, gates, data, samples, watched)
        results = work / "results"  # made anew: what a kill leaves beside a file that was being written is no result
        shutil.rmtree(results, ignore_errors=not results.exists())
        made = replace(_results(job, trainer, gates, data, samples, results), kernels=chosen)
        (results / RESULT).write_bytes(orjson.dumps(made.as_json(), option=_PRETTY))
        return results


def _trainer(job: Job, learner: Any, data: Data, recipe: Recipe, gates: Mapping[int, Gate], work: Path) -> GatedTrainer:
    if job.preference is None:
        return GatedTrainer(learner, data.rows, recipe, gates, work)
    assert isinstance(data.rows, PairRows)
    load_weights(learner, job.preference.start)
    return PairTrainer(learner, data.rows, recipe, gates, work, job.preference)


def model(job: Job, device: torch.device) -> tuple[Any, dict[int, Gate]]:
    """The base with gates and LoRA, ready to learn."""
    if job.train.shard == "full":
        device = torch.device("cpu")  # no device may be large enough; a layer goes there when it is divided
    base = loading.load(job.base, job.precision, job.quantise, device, job.remote_code, job.train.attention)
    gates = gatefiles.load(base, job.gate_folder)
    learner = lora.add_lora(base, job.lora, job.train.seed, job.called, job.added)
    if job.gates.train:
        attach.train(gates, alpha=job.gates.then == "learned")
    lora.ready(learner, job.quantise, job.train.gradient_checkpointing)
    return learner, gates


def _recipe(job: Job, data: Data, device: torch.device) -> Recipe:
    steps = order.steps_of(len(data.rows), job.train.batch, job.train.epochs, job.train.steps)
    form, reason = optimizer.choose(job.train.optimizer, device)
    _say(job, f"{len(data.rows):,} rows, {steps:,} steps on {device.type}; optimiser {form}: {reason}")
    return Recipe(job.train, job.gates, job.pet, steps, round(job.train.warmup * steps), form, job.precision, data.fill)


def _check(job: Job, trainer: GatedTrainer) -> None:
    """The preflight, on the first row, as training will see it."""
    batch = trainer._prepare_inputs(trainer.batch([trainer.rows[0]]))
    names = {name for name, _ in trainer.learner.named_parameters()}
    expected = {name for name in names if "lora_" in name or lora.is_row(name)}
    if job.gates.train:
        turning = {name for name in names if lora.is_gate(name)}
        expected |= {name for name in turning if job.gates.then == "learned" or not name.endswith(".alpha")}

    def loss() -> Tensor:
        trainer.beside(batch, learns=True)
        with trainer.compute_loss_context_manager():
            made: Tensor = trainer.compute_loss(trainer.learner, batch)
        return made

    # a sharded embedding gives nothing outside of a pass; what its output lacks, the first layers' gradients show
    asks_embedding = (job.train.gradient_checkpointing or job.quantise != "none") and not is_sharded(trainer.learner)
    preflight(trainer.learner, expected, loss, asks_embedding)


def _train(
    job: Job, trainer: GatedTrainer, gates: Mapping[int, Gate], data: Data, samples: Series, watched: Watched
) -> None:
    stop = Stop()
    start = checkpoints.newest(trainer.folder)
    if start is not None:
        _say(job, f"going on after step {checkpoints.step_of(start):,}")
        state = TrainerState.load_from_json(str(start / STATE))
        if callbacks.ended(state, job.validation):  # and was killed before its results were in place
            trainer.state = state
            trainer._load_from_checkpoint(str(start))
            samples.rewind(state.global_step)
            return
    probes = Probes(trainer.learner, gates)
    with watched(trainer.recipe.steps, probes.constants) as audience:
        sampler = Sampler(trainer, probes, samples, _due(job, trainer.recipe.steps), audience)
        for callback in _callbacks(job, trainer, gates, data, sampler, stop):
            trainer.add_callback(callback)
        with stop.listening():
            trainer.train(resume_from_checkpoint=str(start) if start else None)


@contextmanager
def dealt(job: Job, learner: Any, recipe: Recipe, device: torch.device, folder: Path) -> Iterator[Lanes | None]:
    """What computes steps in lanes, if the spec has more than one; the base is divided among its processes, if it says
    that, too."""
    train = recipe.train
    count = _processes(train, device)
    if train.lanes == 1:
        yield None
        return
    is_shared_out = train.shard == "full" and count > 1
    base = ", the base divided among them" if is_shared_out else ""
    _say(job, f"{train.lanes} lanes in {count} {'process' if count == 1 else 'processes'}{base}")
    address = os.environ.get(torchrun.ADDRESS, "")  # where the processes are on several machines
    grouped = is_shared_out or bool(address)
    by = exchange.choose(device.type, torch.distributed.is_nccl_available(), grouped)
    learning, settings = lora.trainable(learner).values(), (job, recipe, folder, device.type, is_shared_out)
    place = os.environ.get(torchrun.PLACE)
    crew = partial(joined.call, Path(place), address=address) if place else None
    with Lanes(learning, train.lanes, count, folder / "lanes", _helper, settings, by, crew) as found:
        if is_shared_out:
            sharding.shard(learner, device)
        elif train.shard == "full":
            learner.to(device)  # it was read to be divided
        yield found


def _processes(train: Train, device: torch.device) -> int:
    together, started = int(os.environ.get(torchrun.WORLD, "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if together and train.lanes % together:
        raise StageError(
            f"adapter: train.lanes: {train.lanes} do not divide among the {together} processes that torchrun started: "
            f"set lanes: {together}, or a multiple of it"
        )
    if together and train.processes not in ("auto", together):
        raise StageError(
            f"adapter: train.processes: {train.processes} is not what torchrun started, which is {together}: set auto"
        )
    if train.lanes == 1:
        return 1
    if started > 1:
        raise StageError(
            f"adapter: train.lanes: {train.lanes} are computed by processes that so8t starts by itself, and WORLD_SIZE "
            f"says that {started} were started: unset it, or set lanes: 1"
        )
    gpus = torch.cuda.device_count() if device.type == "cuda" else 0
    count = together or lanes.processes(train.processes, train.lanes, train.threads, gpus)
    here = int(os.environ.get(torchrun.HERE, count))
    if device.type == "cuda" and here > gpus:
        raise StageError(
            f"adapter: train.processes: {here} need a GPU each, and {gpus} {'is' if gpus == 1 else 'are'} visible: "
            "set processes: auto"
        )
    if device.type == "cuda" and train.shard == "full" and not torch.distributed.is_nccl_available():
        raise StageError("adapter: train.shard: full divides a base among GPUs by NCCL, which is not here: set none")
    return count


Settings = tuple[Job, Recipe, Path, str, bool]


@contextmanager
def _helper(settings: Settings) -> Iterator[tuple[list[nn.Parameter], lanes.Compute]]:
    """In a process that helps: a model of its own, and the same trainer, which is asked for passes alone."""
    job, recipe, folder, kind, is_shared_out = settings
    device = torch.device(kind)  # of several GPUs it sees its own alone
    with deterministic(job.train.threads, device, job.train.matmul), quiet():
        learner, gates = model(job, device)
        if is_shared_out:
            sharding.shard(learner, device)
        trainer = GatedTrainer(learner, Rows(Conversations(folder / "rows")), recipe, gates, folder)
        prepared = trainer.accelerator.prepare_model(learner)
        yield list(lora.trainable(learner).values()), partial(_help_out, trainer, prepared)


def _help_out(trainer: GatedTrainer, model: nn.Module, work: Any) -> tuple[float, ...] | None:
    if isinstance(work, dict):  # what the first process chose
        fused.follow(trainer, work)
        return None
    return trainer.help_out(model, work)


def _callbacks(
    job: Job, trainer: GatedTrainer, gates: Mapping[int, Gate], data: Data, sampler: Sampler, stop: Stop
) -> list[Any]:
    """In the order in which they act at a step's end."""
    made: list[Any] = [callbacks.Finite(lambda: float(trainer.parts.total))]
    if job.gates.train and not job.preference and any(gate.kind.opens for gate in gates.values()):
        start = next(float(gate.alpha.detach()) for gate in gates.values() if gate.kind.opens)
        made.append(callbacks.Anneal(gates, callbacks.annealing(job.gates, start, trainer.recipe.steps)))
    if (held_out := data.held_out) is not None:
        loss, keep = partial(validation_loss, trainer, held_out), partial(_keep, trainer.learner)
        made.append(callbacks.Validate(job.validation, loss, keep, trainer.folder))
    return [*made, sampler, callbacks.Save(job.checkpoints, trainer.folder, stop)]


def _due(job: Job, steps: int) -> Callable[[int], bool]:
    """The first step, each interval, whenever validation looks, the last step."""
    every = [job.monitor.every, *([job.validation.every] if job.validation.conversations else [])]
    return lambda step: step in (1, steps) or any(step % interval == 0 for interval in every)


def validation_loss(trainer: GatedTrainer, held_out: Conversations) -> float:
    """The mean cross-entropy of what the held-out conversations teach; like lengths go through the model together."""
    lengths, size = held_out.lengths, trainer.recipe.train.micro_batch
    numbers = sorted(range(len(held_out)), key=lambda number: (lengths[number], number))
    total = count = 0.0
    trainer.learner.eval()
    try:
        with attach.computed_once(trainer.learner), trainer.compute_loss_context_manager():
            for start in range(0, len(numbers), size):
                rows = [[held_out[number]] for number in numbers[start : start + size]]
                batch = trainer._prepare_inputs(trainer.batch(rows))
                trainer.beside(batch, learns=False)
                whole = losses.totals([batch])
                total += float(losses.task_loss(losses.forward(trainer.learner, batch), whole)) * float(whole.learned)
                count += float(whole.learned)
    finally:
        trainer.learner.train()
    return total / count


def _keep(learner: Any, folder: Path) -> None:
    part = folder.with_name(f"{checkpoints.PART}-{folder.name}")
    save_weights(learner, part)
    checkpoints.publish(part, folder)


def _results(
    job: Job, trainer: GatedTrainer, gates: Mapping[int, Gate], data: Data, samples: Series, folder: Path
) -> Result:
    """The weights that the spec asks for, and the series."""
    seen, done = callbacks.history(trainer.state), trainer.state.global_step
    published = callbacks.best_step(seen) if job.validation.publish == "best" else done
    if published != done:
        trainer._load_from_checkpoint(str(trainer.folder / f"{callbacks.BEST}{published}"))
    save_weights(trainer.learner, folder)
    monitoring = folder / "monitoring"
    monitoring.mkdir(exist_ok=True)
    samples.sync()
    shutil.copyfile(samples.path, monitoring / "series.jsonl")
    series.to_npz(samples.path, monitoring / "series.npz", Probes(trainer.learner, gates).constants)
    return Result(
        steps=done,
        planned=trainer.recipe.steps,
        published=published,
        loss=samples.last[-1]["task"],
        validation={str(step): loss for step, loss in seen.items()},
        data=data.counts,
        held_out=data.held_out_counts,
        optimizer=trainer.recipe.form,
        trainable=sum(parameter.numel() for parameter in lora.trainable(trainer.learner).values()),
        g={str(layer): gate.g for layer, gate in gates.items()},
    )


def _say(job: Job, text: str) -> None:
    print(f"{job.stage}: {text}", file=sys.stderr, flush=True)
