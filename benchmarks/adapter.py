"""What the adapter stage adds to a bare PyTorch loop over the same model, batches and optimiser.

    python benchmarks/adapter.py [--profile tiny] [--steps 100] [--rounds 5] [--threads 2]

Sides alternate, each in a fresh process over the artifacts that the profile has built.  The bare loop computes logits
where something is learned, as the stage does, and nothing else of it: no PET, orthogonality, annealing, samples,
validation, checkpoints or Trainer.  Measured is the training alone, from the first step to the end of the last; the
stage's share includes its checkpoint and its results.  --lanes gives the stage lanes and processes.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from pairs import Cost, as_json, median, ratio, table, told, write_json

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))


def job_of(options: argparse.Namespace, work: Path, together: int, **train: int) -> Any:
    """The stage's own, with fewer steps, for so many lanes or processes that share a batch."""
    from so8t.engine.plan import load
    from so8t.engine.stage import Inputs
    from stages import adapter

    folder = ROOT / "artifacts" / options.profile
    names = ("base_model", "so8t_model", "thinking_sft", "chat_format")
    values: dict[str, Any] = dict(load(ROOT, options.profile).rows["adapter"].values)
    train = {**values["train"], "steps": options.steps, **train}
    train["micro_batch"] = min(train["micro_batch"], train["batch"] // together)
    spec = adapter.Spec.model_validate({**values, "train": train})
    return adapter._job(Inputs({name: folder / name for name in names}, scratch=work), spec)


def stage(job: Any, work: Path) -> Cost:
    from so8t.train import run
    from so8t.train.sampling import Unwatched

    class Clock(Unwatched):
        """The stage itself tells of a run's beginning."""

        def began(self, step: int) -> None:
            started.append(now())

    started: list[Cost] = []
    run.train(job, work, Clock)
    return since(started[0])


def bare(job: Any, work: Path) -> Cost:
    import torch
    from transformers import get_cosine_schedule_with_warmup

    from so8t.models.numerics import deterministic
    from so8t.models.order import Order
    from so8t.train import lora, optimizer, run, splits
    from so8t.train.conversations import IGNORED, collate

    train, device = job.train, lora.device(job.train)
    with deterministic(train.threads, device, train.matmul):
        data = splits.prepare(job, work)
        model, _ = run.model(job, device)
        adam = optimizer.create("adamw", model, train, job.gates, device)
        rates = get_cosine_schedule_with_warmup(adam, round(train.warmup * train.steps), train.steps)
        order = list(Order(data.rows.lengths, train.batch, train.steps, train.seed, train.by_length))
        started = now()
        for at in range(0, len(order), train.batch):
            rows = [data.rows[number] for number in order[at : at + train.batch]]
            batch = collate(rows, data.fill, train.pad_to_multiple_of)
            labels = batch["labels"][:, 1:]
            kept = (labels != IGNORED).any(0).nonzero().squeeze(-1)
            logits = model(input_ids=batch["input_ids"], logits_to_keep=kept, use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels[:, kept].flatten())
            loss.backward()
            torch.nn.utils.clip_grad_norm_(lora.trainable(model).values(), train.max_gradient)
            adam.step()
            rates.step()
            adam.zero_grad()
        return since(started)


def built(profile: str) -> None:
    if not (ROOT / "artifacts" / profile / "so8t_model" / "manifest.json").exists():
        raise SystemExit(f"artifacts/{profile} has no so8t_model: doit profile={profile} so8t_model")


def now() -> Cost:
    return Cost(time.perf_counter(), time.process_time())


def since(started: Cost) -> Cost:
    ended = now()
    return Cost(ended.wall - started.wall, ended.cpu - started.cpu)


SIDES: Mapping[str, Callable[[Any, Path], Cost]] = {"adapter": stage, "bare loop": bare}


def measured(side: str, given: list[str]) -> Cost:
    return told([sys.executable, __file__, *given, "--one", side])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", choices=SIDES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        with tempfile.TemporaryDirectory() as work:
            job = job_of(options, Path(work), options.lanes, threads=options.threads, lanes=options.lanes)
            print(json.dumps(vars(SIDES[options.one](job, Path(work)))))
        return
    built(options.profile)
    take: Callable[[str], Cost] = partial(measured, given=sys.argv[1:])
    costs: dict[str, list[Cost]] = {name: [] for name in SIDES}
    for number in range(options.rounds):
        for name in list(SIDES)[:: 1 if number % 2 else -1]:
            costs[name].append(take(name))
    ours, theirs = costs["adapter"], costs["bare loop"]
    rows = [
        [name, f"{median(each) / options.steps * 1000:.1f} ms", f"{median(each, 'cpu'):.1f} s"]
        for name, each in costs.items()
    ]
    print(table(["", "a step", "CPU"], rows))
    print(
        f"adapter beside the bare loop: {ratio(ours, theirs):.3f} of its time, "
        f"{ratio(ours, theirs, 'cpu'):.3f} of its CPU"
    )
    write_json(options.json, {**as_json(costs), "ratio": ratio(ours, theirs)})


if __name__ == "__main__":
    main()
