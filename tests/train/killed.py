"""A process that trains jobs again and again in children, and kills each at a seeded random moment.

    python -m tests.train.killed ORDERS.pickle

An order is a job, a folder, a seed and a number of kills.
Children are forks, so that torch is imported once.  Each run is killed until it comes through; then the next begins.
It prints a line for each run: the number of its order, how often it was killed, and the digest of what it left.
"""

from __future__ import annotations

import gc
import hashlib
import importlib
import os
import pickle
import random
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from so8t.models import loading
from so8t.train import run
from so8t.train.job import Job


def digest(out: Path) -> str:
    found = hashlib.sha256()
    for path in sorted(path for path in out.rglob("*") if path.is_file()):
        found.update(path.relative_to(out).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def start(job: Job, out: Path) -> int:
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
        try:
            run.train(job, out)
        except BaseException:
            traceback.print_exc(file=sys.stdout)
            os._exit(1)
        os._exit(0)
    return child


def ended(child: int, seconds: float) -> bool:
    """Whether the child came through in time; else it is killed."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if status:
                raise SystemExit(f"the run ended with {status}")
            return True
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return status == 0


def main(orders: str) -> None:
    importlib.import_module("so8t.plots.throughput")
    for place, (job, folder, seed, kills) in enumerate(pickle.loads(Path(orders).read_bytes())):
        loading.load(job.base, "float32", job.quantise)  # what libraries read once is read for all children
        gc.freeze()  # else each child looks for garbage in it
        for killed, left in runs(job, folder, seed, kills):
            print(place, killed, left, flush=True)


def runs(job: Job, folder: Path, seed: int, kills: int) -> Iterator[tuple[int, str]]:
    """How often each was killed, and what it left; the first is left in peace."""
    dice, number = random.Random(str(seed)), 0
    began = time.monotonic()
    assert ended(start(job, folder / "whole"), 600)
    whole = time.monotonic() - began
    yield 0, digest(folder / "whole")
    while kills > 0:
        out, killed = folder / str(number), 0
        while not ended(start(job, out), dice.uniform(0, whole) if kills > killed else 600):
            killed += 1
        yield killed, digest(out)
        kills, number = kills - killed, number + 1


if __name__ == "__main__":
    main(*sys.argv[1:])
