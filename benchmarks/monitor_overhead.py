"""What the monitor adds to training: plain steps and watched ones in turn, on one model in one process.

    python benchmarks/monitor_overhead.py [--rounds 9] [--every 10] [--large]

Small is the small Phi-3 of gate_overhead.py; --large is one layer of Phi-3.5's shape (hidden 3072, 32 heads of 96, 384
blocks) at 512 tokens.  Every step is told to the progress line; a watched one also has the probes' hooks on its pass,
reads the gates, and writes a sample, a line of pace and (--tensorboard) events.  Printed: a watched step against the
plain one of its round, and what that is of an interval of --every steps, of which one is watched.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gate_overhead import SHAPES, Shape, model
from pairs import Cost, as_json, median, ratio, table, write_json

LARGE = dataclasses.replace(SHAPES["phi-3.5-layer"], length=512)


class Monitored:
    """A model in training, and all that watches it."""

    def __init__(self, shape: Shape, logs: Path, tensorboard: bool) -> None:
        import torch

        from so8t.train.probes import Probes
        from so8t.train.series import Series
        from so8t.watch.board import Board
        from so8t.watch.pace import Pace
        from so8t.watch.progress import Progress

        self.model, found = model(shape, True, "geodesic", False)
        self.ids = torch.randint(3, shape.words, (shape.batch, shape.length))
        self.real = torch.ones_like(self.ids)
        self.learned = torch.ones(shape.batch, shape.length - 1, dtype=torch.bool)
        self.learned[:, : shape.length // 2] = False
        self.optimizer = torch.optim.AdamW([p for p in self.model.parameters() if p.requires_grad], lr=1e-5)
        self.probes = Probes(self.model, dict(enumerate(found)))
        self.series = Series(logs / "series.jsonl")
        self.pace = Pace(logs)
        self.board = Board(logs / "events", 0, self.probes.constants) if tensorboard else None
        self.progress = Progress("benchmark", 1000, stream=io.StringIO())
        self.done = 0

    def plain(self) -> None:
        self._learn(self.model(input_ids=self.ids, labels=self.ids).loss)

    def watched(self) -> None:
        with self.probes.armed(self.real, self.learned):
            loss = self.model(input_ids=self.ids, labels=self.ids).loss
        self._learn(loss)
        seen = self.probes.gates()
        sample: dict[str, Any] = {
            "step": self.done,
            "loss": float(loss.detach()),
            **seen.figures,
            **self.probes.activity(),
        }
        self.series.append(sample)
        pace = self.pace.sample(self.done, self.ids.numel())
        if self.board:
            self.board.write(sample, seen.angles, pace)

    def _learn(self, loss: Any) -> None:
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.done += 1
        self.progress.update(self.done, self.ids.numel(), float(loss.detach()))


def measure(shape: Shape, rounds: int, every: int, tensorboard: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        run = Monitored(shape, Path(name), tensorboard)
        costs: dict[str, list[Cost]] = {"plain": [], "watched": []}
        for number in range(-1, rounds):
            for which in list(costs)[:: 1 if number % 2 else -1]:
                cost = taken(getattr(run, which))
                if number >= 0:  # the first step of each sets things up
                    costs[which].append(cost)
        run.series.close()
    found = {what: ratio(costs["watched"], costs["plain"], what) for what in ("wall", "cpu")}
    return {
        "steps": as_json(costs),
        "plain_s": median(costs["plain"]),
        "watched_s": median(costs["watched"]),
        "time_ratio": found["wall"],
        "cpu_ratio": found["cpu"],
        "interval_time_ratio": 1 + (found["wall"] - 1) / every,
        "interval_cpu_ratio": 1 + (found["cpu"] - 1) / every,
    }


def taken(step: Callable[[], None]) -> Cost:
    started, used = time.perf_counter(), time.process_time()
    step()
    return Cost(time.perf_counter() - started, time.process_time() - used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--every", type=int, default=10, help="steps between two samples")
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--tensorboard", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()

    import torch

    torch.set_num_threads(options.threads)
    name = "phi-3.5-layer" if options.large else "small"
    shape = LARGE if options.large else SHAPES["small"]
    facts = measure(shape, options.rounds, options.every, options.tensorboard)
    figures = ("time_ratio", "cpu_ratio", "interval_time_ratio", "interval_cpu_ratio")
    row = [name, *(f"{1e3 * facts[which]:.1f}" for which in ("plain_s", "watched_s"))]
    head = ("shape", "plain ms", "watched ms", "ratio", "of CPU", f"of {options.every} steps", "of CPU")
    print(table(head, [[*row, *(f"{facts[figure]:.4f}" for figure in figures)]]))
    write_json(options.json, {name: facts})


if __name__ == "__main__":
    main()
