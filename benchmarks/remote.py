"""What a stage costs more on a node of a cluster than here: `doit cleaned`, whole, as records grow.

    sudo python benchmarks/remote.py [--records 1000,50000] [--rounds 3]

Two Ray nodes in network namespaces of this machine, and an S3 between them that keeps its objects in memory, so what a
real network would take is not in it; what so8t and Ray do is: packing the project, the job's queue, a Python that
starts, the inputs from the store, the result into it and back.  Sides alternate; each round asks for another value, so
that nothing is found in a store.  Needs root, for the namespaces, and the extra `ray`.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from pairs import Cost, as_json, median, surroundings, table, write_json

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import scale  # noqa: E402 - of this folder

from tests.cluster.network import AWS, HEAD, Cluster  # noqa: E402
from tests.house import DOIT  # noqa: E402
from tests.whole.pico import Pico  # noqa: E402

SOURCE = {"name": "corpus", "paths": ["corpus.jsonl"], "terms": "none", "trust": "high"}


def project(folder: Path, count: int, profile: dict[str, Any]) -> Pico:
    made = Pico(folder, ROOT)
    scale.generate(folder / "corpus.jsonl", count)
    made.write({"raw": {"sources": [SOURCE]}, "profile": profile})
    return made


def doit(where: Pico, cluster: Cluster, stage: str) -> Cost:
    """On the head's machine, for the cluster's sake; what its children on nodes compute is not in its CPU."""
    environment = {**surroundings(), "RAY_AUTH_TOKEN": cluster.token, **AWS}
    started, before = time.perf_counter(), os.times()
    command = [*cluster.network.into("a"), *DOIT, stage]
    ran = subprocess.run(command, check=False, cwd=where.path, env=environment, capture_output=True, text=True)
    after = os.times()
    if ran.returncode:
        raise SystemExit(f"doit {stage} ended with exit code {ran.returncode}\n{ran.stderr[-2000:]}")
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(time.perf_counter() - started, cpu)


def measured(cluster: Cluster, folder: Path, count: int, rounds: int) -> dict[str, list[Cost]]:
    away = {
        "store": {"mirror": cluster.bucket(), "trusted": "any", "share_private": True},
        "cluster": {"address": HEAD},
        "run": {"cleaned": {"where": "cluster"}},
    }
    folder.mkdir()
    sides = {name: folder / name for name in ("here", "on a node")}
    for path in sides.values():
        path.mkdir()
    made = {name: project(path, count, away if name == "on a node" else {}) for name, path in sides.items()}
    costs: dict[str, list[Cost]] = {name: [] for name in sides}
    for number in range(-1, rounds):  # the first fills caches, and is not counted
        for name in list(sides)[:: 1 if number % 2 else -1]:
            made[name].write({"cleaned": {"length": {"min_chars": number + 3}}})
            doit(made[name], cluster, "raw")
            cost = doit(made[name], cluster, "cleaned")
            costs[name] += [cost] if number >= 0 else []
    return costs


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", default="1000,50000")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows, found = [], {}
    with tempfile.TemporaryDirectory() as temporary:
        cluster = Cluster(Path(temporary), Path(temporary) / "log.txt")
        try:
            cluster.start()
            for count in map(int, options.records.split(",")):
                costs = measured(cluster, Path(temporary) / str(count), count, options.rounds)
                here, there = costs["here"], costs["on a node"]
                more = median(there) - median(here)
                rows.append([f"{count:,}", f"{median(here):.1f} s", f"{median(there):.1f} s", f"{more:+.1f} s"])
                found[str(count)] = as_json(costs)
        finally:
            cluster.close()
    print(table(["records", "here", "on a node", "more"], rows))
    write_json(options.json, found)


if __name__ == "__main__":
    main()
