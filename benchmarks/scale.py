"""The data stages from raw to splits as records grow: time, processor time, peak memory and growth of each stage.

    python benchmarks/scale.py [--records 100000,1000000] [--workers 1,2] [--keep FOLDER] [--lean]

Seeded Japanese-like records of about 600 bytes with a label, a reason and an answer; 5 % are near copies.
Every stage is built in a process of its own, as `doit` does it; its workers' processor time is counted, and their
memory is shown beside its own.  Only `cleaned` has workers; the other stages are measured with the first number.
Growth is the exponent e of time ~ records^e between the smallest and the largest number of records.
Memory per record is what the peak grew by between these two.  10,000,000 records need 72 GB of disk, or 51 with
`--lean`, which removes what a stage read once it is measured, and an hour or more.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import orjson

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

STAGES = ("raw", "cleaned", "labelled", "thinking_sft")
LABELS = ("ALLOW", "ESCALATION", "DENY", "REFUSE")
_POOL = 20_000  # earlier texts of which near copies are made
_MIB = 1 << (20 if sys.platform == "darwin" else 10)  # in units of ru_maxrss


@dataclass(frozen=True)
class Run:
    """One stage over so many records with so many workers."""

    stage: str
    records: int
    workers: int
    wall: float
    cpu: float
    peak: float  # MiB of the stage's own process
    helper: float  # MiB of its largest worker

    def __str__(self) -> str:
        pace = self.records / self.wall
        helper = f", a worker {self.helper:.0f} MiB" if self.helper else ""
        return (
            f"{self.stage:12} {self.records:>10,} records, {self.workers} workers: {self.wall:7.1f} s "
            f"({self.cpu:.1f} cpu, {pace:,.0f} records/s), peak {self.peak:.0f} MiB{helper}"
        )


def records(count: int, seed: int = 20) -> Iterator[dict[str, str]]:
    neardup = importlib.import_module("neardup")
    rng = random.Random(seed)
    words = [neardup._word(rng) for _ in range(30_000)]
    pool: list[str] = []
    for number in range(count):
        if pool and rng.random() < 0.05:
            text = neardup._edited(rng, rng.choice(pool))
        else:
            text = neardup._sentence(rng, words)
            if len(pool) < _POOL:
                pool.append(text)
            else:
                pool[rng.randrange(_POOL)] = text
        answer = "はい、こちらをご確認ください。" + rng.choice(words) * 3
        yield {"text": text, "label": LABELS[number % 4], "reason": "通常の依頼", "answer": answer}


def generate(path: Path, count: int) -> None:
    with path.open("wb", buffering=1 << 20) as out:
        for record in records(count):
            out.write(orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE))


def build(stage: str, root: Path, workers: int) -> None:
    """In this process, from and to folders of `root`."""
    from so8t.engine.stage import Inputs, Source

    module, out = importlib.import_module(f"stages.{stage}"), root / stage
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    source = Source("corpus", root / "corpus.jsonl")
    values = {
        "raw": {"sources": [{"name": "corpus", "paths": ["corpus.jsonl"], "terms": "none", "trust": "high"}]},
        "cleaned": {"workers": workers},
    }
    inputs = Inputs({name: root / name for name in STAGES}, {"corpus": (source,)}, root, {"profile.task": "four_class"})
    module.build(inputs, out, module.Spec(**values.get(stage, {})))


def measure(stage: str, root: Path, count: int, workers: int) -> Run:
    """The whole process, imports included."""
    began = time.perf_counter()
    command = [sys.executable, __file__, "--stage", stage, "--workers", str(workers), "--keep", str(root)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    told: dict[str, float] = json.loads(done.stdout)
    return Run(stage, count, workers, time.perf_counter() - began, **told)


def told() -> dict[str, float]:
    """Of this process and of the workers that it waited for."""
    own, helpers = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = sum(each.ru_utime + each.ru_stime for each in (own, helpers))
    return {"cpu": cpu, "peak": peak(), "helper": helpers.ru_maxrss / _MIB}


def peak() -> float:
    """Of this process, in MiB; on Linux `ru_maxrss` would be at least what its parent had when it started it."""
    if Path("/proc/self/status").exists():
        return importlib.import_module("pairs").status("self", "VmHWM") / (1 << 20)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _MIB


def run(root: Path, count: int, workers: list[int], lean: bool) -> list[Run]:
    if not (root / "corpus.jsonl").exists():
        generate(root / "corpus.jsonl", count)
    runs, read = [], root / "corpus.jsonl"
    for stage in STAGES:
        digests = set()
        for number in workers if stage == "cleaned" else workers[:1]:
            runs.append(measure(stage, root, count, number))
            print(runs[-1], flush=True)
            digests.add(digest(root / stage))
        if len(digests) > 1:
            raise SystemExit(f"{stage}: its bytes depend on the number of workers")
        if lean:
            shutil.rmtree(read) if read.is_dir() else read.unlink()
        read = root / stage
    return runs


def digest(folder: Path) -> str:
    from blake3 import blake3

    hashes = blake3()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        hashes.update(path.name.encode()).update_mmap(path)
    return str(hashes.hexdigest())


def growth(runs: list[Run]) -> Iterator[str]:
    """Between the smallest and the largest number of records, for each stage and number of workers."""
    by: dict[tuple[str, int], list[Run]] = {}
    for each in runs:
        by.setdefault((each.stage, each.workers), []).append(each)
    for (stage, workers), several in by.items():
        small, large = several[0], several[-1]
        if small.records < large.records:
            times = large.records / small.records
            exponent = math.log(large.cpu / small.cpu) / math.log(times)
            memory = (large.peak - small.peak) * (1 << 20) / (large.records - small.records)
            yield f"{stage:12} {workers} workers: cpu ~ records^{exponent:.2f}, {memory:.0f} bytes a record"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", default="100000,1000000", help="numbers of records, the smallest first")
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--keep", type=Path, help="a folder to work in, which stays")
    parser.add_argument("--lean", action="store_true", help="keep only what the next stage reads")
    parser.add_argument("--json", type=Path, help="a file for the figures")
    parser.add_argument("--stage", choices=STAGES, help="build one stage in this process and print JSON")
    options = parser.parse_args()
    workers = [int(number) for number in options.workers.split(",")]
    if options.stage:
        with Path(os.devnull).open("w") as nothing:
            sys.stdout, real = nothing, sys.stdout
            build(options.stage, options.keep, workers[0])
        print(json.dumps(told()), file=real)
        return
    runs: list[Run] = []
    with tempfile.TemporaryDirectory() as temporary:
        for count in map(int, options.records.split(",")):
            root = (options.keep or Path(temporary)) / str(count)
            root.mkdir(parents=True, exist_ok=True)
            runs += run(root, count, workers, options.lean)
            if options.keep is None:
                shutil.rmtree(root)
    for line in growth(runs):
        print(line)
    if options.json:
        options.json.write_text(json.dumps([asdict(each) for each in runs], indent=1), "utf-8")


if __name__ == "__main__":
    main()
