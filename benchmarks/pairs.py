"""Whole processes measured in turn, A B A B, and what their medians and paired ratios are.

CPU is that of the process and of all that it started and waited for, so it needs `os.wait4` (not on Windows).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Command:
    argv: Sequence[str]
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)  # added to this process's own
    before: Callable[[], None] | None = None  # not measured


@dataclass(frozen=True)
class Cost:
    wall: float
    cpu: float


def surroundings() -> dict[str, str]:
    """This process's environment as a user has it: with bytecode caches, which containers like to turn off."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(command: Command) -> Cost:
    """The cost of one run; a command that fails is an error, for its time means nothing."""
    if command.before:
        command.before()
    with tempfile.TemporaryFile() as log:
        started = time.perf_counter()
        child = subprocess.Popen(
            command.argv, cwd=command.cwd, env={**surroundings(), **command.env}, stdout=log, stderr=log
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            log.seek(0)
            said = log.read().decode(errors="replace")[-2000:]
            raise SystemExit(f"{' '.join(command.argv)} ended with exit code {child.returncode}\n{said}")
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def told(argv: Sequence[str]) -> Cost:
    """What a process measured of itself and says on its last line."""
    ran = subprocess.run(argv, check=False, env=surroundings(), capture_output=True, text=True)
    if ran.returncode:
        raise SystemExit(f"{' '.join(argv)} ended with exit code {ran.returncode}\n{ran.stderr[-2000:]}")
    return Cost(**json.loads(ran.stdout.splitlines()[-1]))


def in_turn(commands: Mapping[str, Command], rounds: int) -> dict[str, list[Cost]]:
    """Every command once per round, each round starting with another one."""
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    names = list(commands)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            costs[name].append(run(commands[name]))
    return costs


def median(costs: Sequence[Cost], what: str = "wall") -> float:
    return statistics.median(getattr(cost, what) for cost in costs)


def ratio(ours: Sequence[Cost], theirs: Sequence[Cost], what: str = "wall") -> float:
    """The median of the rounds' own ratios: what slowed a whole round down falls out."""
    return statistics.median(getattr(a, what) / getattr(b, what) for a, b in zip(ours, theirs, strict=True))


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as they need to be; the first to the left, figures to the right."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in pairs)
        for pairs in (list(enumerate(zip(row, widths, strict=True))) for row in [head, *rows])
    ]
    return "\n".join(line.rstrip() for line in lines)


def status(process: int | str, what: str) -> int:
    """Bytes that Linux tells of a process ("self", too): VmRSS, its peak VmHWM, RssAnon."""
    lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{what}:"))


def as_json(costs: Mapping[str, Sequence[Cost]]) -> dict[str, dict[str, object]]:
    return {
        name: {
            "wall_median_s": round(median(each), 4),
            "cpu_median_s": round(median(each, "cpu"), 4),
            "wall_s": [round(cost.wall, 4) for cost in each],
            "cpu_s": [round(cost.cpu, 4) for cost in each],
        }
        for name, each in costs.items()
    }


def write_json(path: Path | None, facts: Mapping[str, object]) -> None:
    if path:
        path.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
