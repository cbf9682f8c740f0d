"""A process that trains a job again and again in children, and kills each at a seeded random moment.

    python -m tests.train.killed JOB.pickle SEED KILLS FOLDER

Children are forks, so that torch is imported once.  Each run is killed until it comes through; then the next begins.
It prints a line for each run: how often it was killed, and the digest of what it left.
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


def main(job_file: str, seed: str, kills: str, folder: str) -> None:
    job = pickle.loads(Path(job_file).read_bytes())
    importlib.import_module("so8t.plots.throughput")
    loading.load(job.base, "float32", job.quantise)  # what libraries read once is read for all children
    gc.freeze()  # else each child looks for garbage in it
    dice, left, number = random.Random(seed), int(kills), 0
    began = time.monotonic()
    assert ended(start(job, Path(folder) / "whole"), 600)
    whole = time.monotonic() - began
    print(0, digest(Path(folder) / "whole"), flush=True)
    while left > 0:
        out, killed = Path(folder) / str(number), 0
        while not ended(start(job, out), dice.uniform(0, whole) if left > killed else 600):
            killed += 1
        print(killed, digest(out), flush=True)
        left, number = left - killed, number + 1


if __name__ == "__main__":
    main(*sys.argv[1:])
