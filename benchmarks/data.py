"""The data part end to end, beside a bare orjson pass over the same bytes and beside rensa for the duplicates alone.

    python benchmarks/data.py [--records 100000,1000000] [--workers 2] [--keep FOLDER]

For each number of records: raw, cleaned, labelled and thinking_sft, one after the other, as benchmarks/scale.py builds
them.  The orjson pass reads and writes what each stage reads and writes and does nothing else: it loads each line of
the file that the stage takes, and dumps each record of the files that it gives.  rensa is given the texts alone, as
its README shows it, and does not check what it finds.
The ratios are of processor time, which means something on a busy machine, too.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import orjson

sys.path[:0] = [str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)]

import neardup  # noqa: E402 - of this folder
import scale  # noqa: E402 - of this folder

SPLITS = ("train", "validation", "test")
PASSES = {  # what each stage reads, and what it writes
    "raw": (["corpus.jsonl"], ["raw/raw.jsonl"]),
    "cleaned": (["raw/raw.jsonl"], ["cleaned/cleaned.jsonl", "cleaned/dropped.jsonl"]),
    "labelled": (["cleaned/cleaned.jsonl"], ["labelled/labelled.jsonl"]),
    "thinking_sft": (
        ["labelled/labelled.jsonl"],
        ["thinking_sft/thinking_sft.jsonl"] + [f"thinking_sft/splits/{name}.jsonl" for name in SPLITS],
    ),
}


def orjson_pass(root: Path) -> None:
    """Load every line that a stage reads, and dump every one that it writes, into files as large."""
    for reads, writes in PASSES.values():
        for name in reads:
            with (root / name).open("rb", buffering=1 << 20) as lines:
                for line in lines:
                    orjson.loads(line)
        for name in writes:
            with (root / name).open("rb", buffering=1 << 20) as lines, (root / "bare").open("wb", 1 << 20) as out:
                for line in lines:
                    out.write(orjson.dumps(orjson.loads(line), option=orjson.OPT_APPEND_NEWLINE))
    (root / "bare").unlink()


def rensa_alone(root: Path) -> None:
    with (root / "corpus.jsonl").open("rb", buffering=1 << 20) as lines:
        texts = [orjson.loads(line)["text"] for line in lines]
    neardup.run_bare(texts, lambda row, candidates: None)


def duplicates_alone(root: Path) -> None:
    with (root / "corpus.jsonl").open("rb", buffering=1 << 20) as lines:
        texts = [orjson.loads(line)["text"] for line in lines]
    neardup.run_ours(texts, lambda row, candidates: None)


ALONE: dict[str, Callable[[Path], None]] = {
    "orjson": orjson_pass,
    "rensa": rensa_alone,
    "duplicates": duplicates_alone,
}


def alone(name: str, root: Path) -> tuple[float, float, float]:
    """Wall and processor seconds, and MiB, of a process of its own."""
    began = time.perf_counter()
    command = [sys.executable, __file__, "--alone", name, "--keep", str(root)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    told = json.loads(done.stdout)
    wall = time.perf_counter() - began
    print(f"{name:12} {wall:7.1f} s ({told['cpu']:.1f} cpu), peak {told['peak']:.0f} MiB", flush=True)
    return wall, told["cpu"], told["peak"]


def compare(root: Path, count: int, workers: int) -> None:
    runs = scale.run(root, count, [workers])
    wall, cpu, peak = sum(r.wall for r in runs), sum(r.cpu for r in runs), max(r.peak for r in runs)
    print(f"together     {wall:7.1f} s ({cpu:.1f} cpu, {count / wall:,.0f} records/s), peak {peak:.0f} MiB")
    bare, rensa, ours = (alone(name, root) for name in ALONE)
    print(f"so8t / orjson, the whole data part, processor time: {cpu / bare[1]:.1f}")
    print(f"duplicates / rensa, processor time: {ours[1] / rensa[1]:.2f}, memory: {ours[2] / rensa[2]:.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", default="100000,1000000", help="numbers of records, the smallest first")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="a folder to work in, which stays")
    parser.add_argument("--alone", choices=ALONE, help="measure one of these in this process and print JSON")
    options = parser.parse_args()
    if options.alone:
        ALONE[options.alone](options.keep)
        own = resource.getrusage(resource.RUSAGE_SELF)
        print(json.dumps({"cpu": own.ru_utime + own.ru_stime, "peak": scale.peak()}))
        return
    with tempfile.TemporaryDirectory() as temporary:
        for count in map(int, options.records.split(",")):
            root = (options.keep or Path(temporary)) / str(count)
            root.mkdir(parents=True, exist_ok=True)
            compare(root, count, options.workers)
            if options.keep is None:
                shutil.rmtree(root)


if __name__ == "__main__":
    main()
