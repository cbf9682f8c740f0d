"""What building costs on top of the work: so8t against ninja on the same writers; and how often a source is hashed.

    python benchmarks/build_overhead.py [--size 96MiB] [--source 512MiB] [--rounds 3] [--json FILE]

1. A chain of four stages, each of which writes `--size` bytes (512MiB was the target's size), from nothing: CPU of the
   whole process tree, wall, and the disk that is in use afterwards.  `so8t` calls the stage program's function, as
   stages do; `so8t, command` starts the very command line that ninja starts.  The parts of the difference are measured
   beside it: one BLAKE3 pass over the same bytes, and the start of doit and of the stages' processes.
   Twice: with a writer that computes every byte (SHAKE-128, 0.7 GB/s), and with the cheapest there can be, one block
   over and over, which costs about as much as hashing it.
2. A source of `--source` bytes (2GiB was the target's size) that three stages read is touched: the up-to-date run after
   that, and the next one, in passes of BLAKE3 over that file.  Hashed once, they are 1 and 0.

Files of up to `copy_below` (64 MiB) are copied into the store as well; give --size 32MiB to see what that costs.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from pathlib import Path

import pairs
import peers
import toys

from so8t.spec.settings import size

TARGET_CPU = 1.6
NAMES = ("adapter", "merged", "baked", "gguf")
DOIT = [sys.executable, "-m", "doit"]
PASS = "import sys; from pathlib import Path; from so8t.store.digest import blake3_of\n"
PASS += "for path in sys.argv[1:]: blake3_of(Path(path))"
START = "import so8t.engine.process, so8t.spec.fields"  # what a stage's process imports before the stage


def chain(bytes_each: int, computed: bool) -> list[toys.Toy]:
    takes = [(), *((name,) for name in NAMES)]
    return [
        toys.Toy(name, taken, ("raw.txt",) if not taken else (), bytes_each, salt, computed)
        for salt, (name, taken) in enumerate(zip(NAMES, takes, strict=False))
    ]


def emptied(folder: Path, bytes_next: int = 0) -> None:
    """As before the first build: the disk idle, and memory for what comes next already the machine's own.

    A virtual machine gets memory page by page when it is first used, which costs ten times the writing.
    """
    shutil.rmtree(folder / "artifacts", ignore_errors=True)
    for path in [*folder.glob("*.bin"), *folder.glob(".ninja_*")]:
        path.unlink()
    with tempfile.TemporaryFile(dir=folder) as scratch:
        for _ in range(0, bytes_next, 1 << 20):
            scratch.write(bytes(1 << 20))
    os.sync()


def used(folder: Path) -> int:
    """Bytes on the disk below a folder; a file with two names counts once."""
    stats = {(stat.st_dev, stat.st_ino): stat for path in folder.rglob("*") if (stat := path.lstat())}
    return sum(stat.st_blocks * 512 for stat in stats.values())


# ---- 1. from nothing -----------------------------------------------------------------------------------------


def overhead(
    folder: Path, env: dict[str, str], rounds: int, bytes_each: int, ninja: peers.Peer, computed: bool
) -> dict[str, object]:
    folder, stages = folder / ("computed" if computed else "filled"), chain(bytes_each, computed)
    builds = {
        "so8t": pairs.Command(DOIT, toys.so8t_project(folder / "so8t", stages), env),
        "so8t, command": pairs.Command(DOIT, toys.so8t_project(folder / "called", stages, called=True), env),
    }
    if ninja.command:
        builds["ninja"] = toys.peer_command("ninja", ninja.command, toys.peer_project(folder / "ninja", stages))
    costs: dict[str, list[pairs.Cost]] = {name: [] for name in (*builds, "BLAKE3", "processes")}
    disk = {}
    for build in builds.values():  # once for the bytecode caches
        emptied(build.cwd)
        pairs.run(build)
    for number in range(rounds):
        for name in sorted(builds, reverse=bool(number % 2)):
            build = builds[name]
            emptied(build.cwd, len(stages) * bytes_each)
            costs[name].append(pairs.run(build))
            disk[name] = used(build.cwd)
            if name == "so8t":
                costs["BLAKE3"].append(_hashing(build.cwd, env))
            emptied(build.cwd)
        costs["processes"].append(_starting(folder, env))
    say_overhead(costs, disk, ninja, bytes_each, computed)
    ratios = {
        f"{name} / ninja": {what: round(pairs.ratio(costs[name], costs["ninja"], what), 3) for what in ("cpu", "wall")}
        for name in builds
        if "ninja" in builds
    }
    return {
        "bytes_each": bytes_each,
        "costs": pairs.as_json(costs),
        "ratios": ratios,
        "disk_bytes": disk,
        "not_available": peers.missing([ninja]),
    }


def _hashing(project: Path, env: dict[str, str]) -> pairs.Cost:
    """One pass over what was built."""
    built = [str(project / "artifacts" / "tiny" / name / "data.bin") for name in NAMES]
    return pairs.run(pairs.Command([sys.executable, "-c", PASS, *built], project, env))


def _starting(folder: Path, env: dict[str, str]) -> pairs.Cost:
    """Doit itself and a process for each stage, none of which does anything."""
    starts = [f"{sys.executable} -c '{START}'" for _ in NAMES]
    once = pairs.run(pairs.Command([sys.executable, "-c", "import doit.doit_cmd"], folder, env))
    each = pairs.run(pairs.Command(["sh", "-c", " && ".join(starts)], folder, env))
    return pairs.Cost(once.wall + each.wall, once.cpu + each.cpu)


def say_overhead(
    costs: dict[str, list[pairs.Cost]], disk: dict[str, int], ninja: peers.Peer, bytes_each: int, computed: bool
) -> None:
    base = costs.get("ninja")
    rows = []
    for name, each in costs.items():
        ratios = [f"{pairs.ratio(each, base, what):.2f}" if base else "-" for what in ("cpu", "wall")]
        shown = [f"{pairs.median(each, what):.2f}" for what in ("cpu", "wall")]
        rows.append([name, *shown, *ratios, f"{disk[name] / 2**20:,.0f}" if name in disk else ""])
    how = "every byte computed" if computed else "one block over and over"
    print(f"\n1. four stages that write {bytes_each / 2**20:,.0f} MiB each, {how}, from nothing")
    print(pairs.table(["", "cpu s", "wall s", "cpu / ninja", "wall / ninja", "disk MiB"], rows))
    print(ninja.line)
    if base:
        print(f"so8t / ninja: {pairs.ratio(costs['so8t'], base, 'cpu'):.2f} cpu (target at most {TARGET_CPU})")


# ---- 2. a touched source -------------------------------------------------------------------------------------


def touched(folder: Path, env: dict[str, str], rounds: int, source: int) -> dict[str, object]:
    readers = [toys.Toy(f"reader{number}", (), ("base.bin",), salt=number) for number in range(3)]
    project = toys.so8t_project(folder / "touched", readers)
    with (project / "base.bin").open("wb") as base:
        for _ in range(0, source, 1 << 20):
            base.write(os.urandom(1 << 20))
    os.sync()
    doit = pairs.Command(DOIT, project, env)
    for _ in range(3):
        pairs.run(doit)
    hashing = pairs.Command([sys.executable, "-c", PASS, str(project / "base.bin")], project, env)
    nothing = pairs.Command([sys.executable, "-c", PASS], project, env)
    costs: dict[str, list[pairs.Cost]] = {name: [] for name in ("up to date", "touched", "next", "BLAKE3", "no pass")}
    for _ in range(rounds):
        costs["up to date"].append(pairs.run(doit))
        (project / "base.bin").touch()
        costs["touched"].append(pairs.run(doit))
        costs["next"].append(pairs.run(doit))
        costs["BLAKE3"].append(pairs.run(hashing))
        costs["no pass"].append(pairs.run(nothing))
    passes = {name: _passes(costs, name) for name in ("touched", "next")}
    print(f"\n2. a source of {source / 2**20:,.0f} MiB that three stages read, touched")
    rows = [[name, f"{pairs.median(each):.2f}", f"{pairs.median(each, 'cpu'):.2f}"] for name, each in costs.items()]
    print(pairs.table(["", "wall s", "cpu s"], rows))
    print(
        f"passes over the source (cpu): {passes['touched']:.2f} after the touch, {passes['next']:.2f} in the next run"
    )
    return {"bytes": source, "costs": pairs.as_json(costs), "passes": passes}


def _passes(costs: dict[str, list[pairs.Cost]], name: str) -> float:
    one = pairs.median(costs["BLAKE3"], "cpu") - pairs.median(costs["no pass"], "cpu")
    more = [run.cpu - idle.cpu for run, idle in zip(costs[name], costs["up to date"], strict=True)]
    return round(statistics.median(more) / one, 2)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--size", type=size, default=size("96MiB"), help="of what each of the four stages writes")
    parser.add_argument("--source", type=size, default=size("512MiB"), help="of the touched source; 0 for none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=Path, default=peers.FOLDER, help="where the peers live")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    asked = parser.parse_args()
    ninja = peers.find("ninja", asked.peers)
    with tempfile.TemporaryDirectory(prefix="so8t-overhead-") as name:
        folder = Path(name)
        env = toys.snapshot(folder / "package")
        facts: dict[str, object] = {
            name: overhead(folder, env, asked.rounds, asked.size, ninja, computed)
            for name, computed in (("computed", True), ("filled", False))
        }
        if asked.source:
            facts["touched"] = touched(folder, env, asked.rounds, asked.source)
    pairs.write_json(asked.json, facts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
