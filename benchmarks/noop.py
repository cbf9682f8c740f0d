"""What an up-to-date `doit` costs: against importing doit, DVC, Snakemake and make, by artifact size, by stages.

    python benchmarks/noop.py [--rounds 9] [--big 256MiB] [--stages 10,100] [--no-peers] [--json FILE]

1. eight stages with small files: so8t, each peer, and `python -c 'import doit.doit_cmd'` in turn, in the same run;
2. the same eight stages when four of them hold `--big` bytes each (0 leaves the part out; 2GiB was the target's size);
3. chains of ten small stages, in the numbers of `--stages` (1000 takes about two minutes to set up).

Every run's outputs are looked at: a tool that rebuilt something is an error, not a time.
The peers are those of benchmarks/peers.py; one that is not available is named.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pairs
import peers
import toys

from so8t.spec.settings import size

FLOOR = "import doit.doit_cmd"
TARGET_FLOOR, TARGET_PEER, TARGET_STAGE_MS = 2.0, 4.0, 0.5
DOIT = [sys.executable, "-m", "doit"]
SCRIPT = Path(sys.executable).with_name("doit.exe" if sys.platform == "win32" else "doit")


def settled(folder: Path, command: pairs.Command) -> pairs.Command:
    """The command once it has brought everything up to date and remembered what there is to remember."""
    for _ in range(3):
        pairs.run(command)
    return command


def outputs(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*.bin")}


def measured(commands: dict[str, pairs.Command], rounds: int) -> dict[str, list[pairs.Cost]]:
    folders = {command.cwd for command in commands.values()}
    before = {folder: outputs(folder) for folder in folders}
    costs = pairs.in_turn(commands, rounds)
    for folder in folders:
        if outputs(folder) != before[folder]:
            raise SystemExit(f"{folder.name}: something was rebuilt, so these are no times of an up-to-date run")
    return costs


# ---- 1. against the others -----------------------------------------------------------------------------------


def compare(folder: Path, env: dict[str, str], rounds: int, rivals: Sequence[peers.Peer]) -> dict[str, object]:
    stages = toys.pipeline()
    ours = toys.so8t_project(folder / "so8t-8", stages)
    commands = {
        FLOOR: pairs.Command([sys.executable, "-c", "import doit.doit_cmd"], ours, env),
        "python -m doit": settled(ours, pairs.Command(DOIT, ours, env)),
    }
    if SCRIPT.exists():
        commands["doit"] = settled(ours, pairs.Command([str(SCRIPT)], ours, env))
    for peer in rivals:
        if peer.command:
            theirs = toys.peer_project(folder / peer.name, stages)
            if peer.name == "dvc":
                toys.prepare_dvc(peer.command, theirs)
            commands[peer.name] = settled(theirs, toys.peer_command(peer.name, peer.command, theirs))
    costs = measured(commands, rounds)
    say_comparison(costs, rivals)
    ratios = {
        f"{mine} / {name}": round(pairs.ratio(costs[mine], costs[name]), 3)
        for mine in ("python -m doit", "doit")
        for name in costs
        if mine in costs and name not in ("python -m doit", "doit")
    }
    return {
        "costs": pairs.as_json(costs),
        "wall_ratios": ratios,
        "tools": [peer.line for peer in rivals],
        "not_available": peers.missing(list(rivals)),
    }


def say_comparison(costs: dict[str, list[pairs.Cost]], rivals: Sequence[peers.Peer]) -> None:
    mine = "python -m doit"
    rows = []
    for name, each in costs.items():
        slower = pairs.ratio(each, costs[mine]), pairs.ratio(each, costs[mine], "cpu")
        rows.append(
            [name, f"{pairs.median(each) * 1e3:.0f}", f"{pairs.median(each, 'cpu') * 1e3:.0f}"]
            + [f"{value:.2f}" for value in slower]
        )
    print("\n1. up to date, 8 stages, small files")
    print(pairs.table(["", "wall ms", "cpu ms", "wall / ours", "cpu / ours"], rows))
    for ours in ("python -m doit", "doit"):
        if ours in costs:
            over = pairs.ratio(costs[ours], costs[FLOOR])
            print(f"{ours} / {FLOOR}: {over:.2f} (target at most {TARGET_FLOOR})")
    for name in ("dvc", "snakemake"):
        if name in costs:
            faster = pairs.ratio(costs[name], costs[mine])
            print(f"{faster:.1f} times faster than {name} (target at least {TARGET_PEER:g})")
    for peer in rivals:
        print(peer.line)


# ---- 2. by artifact size -------------------------------------------------------------------------------------


def by_size(folder: Path, env: dict[str, str], rounds: int, big: int) -> dict[str, object]:
    commands = {}
    for name, bytes_each in (("small", 1000), ("big", big)):
        project = toys.so8t_project(folder / f"so8t-{name}", toys.pipeline(bytes_each))
        commands[name] = settled(project, pairs.Command(DOIT, project, env))
    costs = measured(commands, rounds)
    wall = pairs.ratio(costs["big"], costs["small"])
    cpu = pairs.ratio(costs["big"], costs["small"], "cpu")
    print(
        f"\n2. four outputs of {big / 2**20:,.0f} MiB against four of 1 kB: {wall:.2f} wall, {cpu:.2f} cpu (1 = none)"
    )
    return {"bytes_each": big, "costs": pairs.as_json(costs), "wall_ratio": round(wall, 3), "cpu_ratio": round(cpu, 3)}


# ---- 3. by number of stages ----------------------------------------------------------------------------------


def by_stages(folder: Path, env: dict[str, str], rounds: int, counts: Sequence[int]) -> dict[str, object]:
    commands = {}
    for count in counts:
        project = toys.so8t_chains(folder / f"chains-{count}", count)
        toys.build_in_one_process(project, env)
        commands[str(count)] = settled(project, pairs.Command(DOIT, project, env))
    costs = measured(commands, rounds)
    low, high = str(min(counts)), str(max(counts))
    added = max(counts) - min(counts)
    slope = statistics.median(
        (b.wall - a.wall) * 1e3 / added for a, b in zip(costs[low], costs[high], strict=True)
    )  # fmt: skip
    rows = [
        [n, f"{pairs.median(each) * 1e3:.0f}", f"{pairs.median(each, 'cpu') * 1e3:.0f}"] for n, each in costs.items()
    ]
    print("\n3. up to date, chains of ten small stages")
    print(pairs.table(["stages", "wall ms", "cpu ms"], rows))
    print(f"{slope:.2f} ms for each further stage (target at most {TARGET_STAGE_MS})")
    return {"costs": pairs.as_json(costs), "ms_per_stage": round(slope, 4)}


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--big", type=size, default=size("256MiB"), help="of each of four outputs; 0 for none")
    parser.add_argument("--stages", default="10,100", help="numbers of stages; 0 for none")
    parser.add_argument("--no-peers", action="store_true", help="so8t alone")
    parser.add_argument("--peers", type=Path, default=peers.FOLDER, help="where the peers live")
    parser.add_argument("--json", type=Path, help="write the figures there too")
    asked = parser.parse_args()
    counts = [int(part) for part in asked.stages.split(",")]
    rivals = [] if asked.no_peers else [peers.find(name, asked.peers) for name in ("make", "dvc", "snakemake")]
    with tempfile.TemporaryDirectory(prefix="so8t-noop-") as name:
        folder = Path(name)
        env = toys.snapshot(folder / "package")
        facts: dict[str, object] = {"eight_stages": compare(folder, env, asked.rounds, rivals)}
        if asked.big:
            facts["by_size"] = by_size(folder, env, asked.rounds, asked.big)
        if len(counts) > 1:
            facts["by_stages"] = by_stages(folder, env, asked.rounds, counts)
    pairs.write_json(asked.json, facts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
