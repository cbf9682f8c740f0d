"""A step of the adapter stage on two cores: two threads, two lanes in one process or in two, plain data parallel.

    python benchmarks/lanes.py [--profile tiny] [--steps 100] [--rounds 5]

Sides alternate, each in fresh processes over the artifacts that the profile has built.  Measured is the training alone,
as benchmarks/adapter.py measures it; the other processes' start lies within, for a user waits for it as well.
Only lanes give the same bytes in one process and in two; plain data parallel training does not.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import adapter
from pairs import Cost, as_json, median, ratio, table, told, write_json


@dataclass(frozen=True)
class Side:
    threads: int  # of each process
    lanes: int
    processes: int
    parallel: int = 1  # processes of torch's own data parallel training


SIDES = {
    "2 threads": Side(2, 1, 1),
    "2 lanes, 1 process": Side(1, 2, 1),
    "2 lanes, 2 processes": Side(1, 2, 2),
    "data parallel, 2 processes": Side(1, 1, 1, parallel=2),
}


def one(side: Side, options: argparse.Namespace, work: Path) -> Cost:
    """In this process, which is the first of them."""
    if side.parallel == 1:
        return _trained(side, options, work / "0")
    with subprocess.Popen([*_again(options), "--rank", "1", "--work", str(work)], env=os.environ) as other:
        cost = _joined(side, options, work, 0)
    if other.returncode:
        raise SystemExit(f"the other process ended with exit code {other.returncode}")
    return cost


def _joined(side: Side, options: argparse.Namespace, work: Path, rank: int) -> Cost:
    """A file tells the processes of each other; they speak on the loopback interface alone."""
    world = str(side.parallel)
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": world, "LOCAL_WORLD_SIZE": world}
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    from torch import distributed

    meet = (work / "meet").as_uri()
    distributed.init_process_group("gloo", init_method=meet, rank=rank, world_size=side.parallel)
    cost = _trained(side, options, work / str(rank))
    distributed.destroy_process_group()
    return cost


def _trained(side: Side, options: argparse.Namespace, work: Path) -> Cost:
    work.mkdir()
    together = side.lanes * side.parallel
    job = adapter.job_of(options, work, together, threads=side.threads, lanes=side.lanes, processes=side.processes)
    return adapter.stage(job, work)


def _again(options: argparse.Namespace) -> list[str]:
    given = ["--profile", options.profile, "--steps", str(options.steps)]
    return [sys.executable, __file__, *given, "--one", options.one]


def measured(options: argparse.Namespace, name: str) -> Cost:
    return told(_again(argparse.Namespace(**{**vars(options), "one": name})))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--rank", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.rank:
        _joined(SIDES[options.one], options, options.work, options.rank)
        return
    if options.one:
        with tempfile.TemporaryDirectory() as work:
            print(json.dumps(vars(one(SIDES[options.one], options, Path(work)))))
        return
    adapter.built(options.profile)
    costs: dict[str, list[Cost]] = {name: [] for name in SIDES}
    for number in range(options.rounds):
        for name in list(SIDES)[:: 1 if number % 2 else -1]:
            costs[name].append(measured(options, name))
    first = costs["2 threads"]
    rows = [
        [name, f"{median(each) / options.steps * 1000:.1f} ms", f"{ratio(each, first):.2f}"]
        for name, each in costs.items()
    ]
    print(table(["", "a step", "beside 2 threads"], rows))
    write_json(options.json, as_json(costs))


if __name__ == "__main__":
    main()
