"""Under torchrun its first process builds, as doit does alone; the others help where a training asks them to.

They find each other by files in the project's state folder, so that nothing listens on a network for it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so8t.errors import UserError
from so8t.store.atomic import write_atomic
from so8t.store.layout import Layout
from so8t.store.locks import held, is_free

PLACE, WORLD = "SO8T_TOGETHER", "SO8T_TOGETHER_PROCESSES"  # what a stage's process knows of it
_OF_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC_")
_LED, _ENDED, _CALL = "led", "ended", "call-{}.json"
_PAUSE = 0.2
_OLD = 7 * 86400.0  # seconds

# in a process that helps: what a training calls with, and the process's number
Join = Callable[[Path, int], Any]


class Several(UserError):
    """torchrun started processes on several machines."""


@dataclass(frozen=True)
class Place:
    """Of a process among those that torchrun started."""

    rank: int
    world: int
    run: str


def place(environment: Mapping[str, str]) -> Place | None:
    """None for a process that is alone."""
    world = int(environment.get("WORLD_SIZE", "1"))
    if "TORCHELASTIC_RUN_ID" not in environment or world == 1:
        return None
    here = int(environment.get("LOCAL_WORLD_SIZE", world))
    if here != world:
        raise Several(
            f"torchrun: {here} of {world} processes are on this machine, and gradients are exchanged on one alone: "
            "start all of them on one"
        )
    run = f"{environment['TORCHELASTIC_RUN_ID']}-{environment.get('MASTER_PORT', '')}-{os.getppid()}"
    return Place(int(environment["RANK"]), world, run)


def take_part(layout: Layout, join: Join) -> None:
    """Returns at once in a process that is alone, and never in another one."""
    found = place(os.environ)
    if found is None:
        return
    folder = layout.shared / "torchrun" / found.run
    sys.exit(follow(folder, found.rank, join) if found.rank else lead(folder, found.world))


def lead(folder: Path, world: int) -> int:
    """The same command in a process that knows nothing of torchrun; the others are told its exit code."""
    _sweep(folder.parent)
    with held(folder / "lead", "torchrun: waiting for another run"):
        write_atomic(folder / _LED, b"")
        running = subprocess.Popen([sys.executable, *sys.orig_argv[1:]], env=alone(os.environ, folder, world))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda told, _: running.send_signal(told))
        code = running.wait()
        code = 128 - code if code < 0 else code
        write_atomic(folder / _ENDED, str(code).encode())
    return code


def _sweep(runs: Path) -> None:
    """What runs left that nobody reads any more."""
    for left in runs.glob("*"):
        if time.time() - left.stat().st_mtime > _OLD:
            shutil.rmtree(left, ignore_errors=True)


def alone(environment: Mapping[str, str], folder: Path, world: int) -> dict[str, str]:
    kept = {name: value for name, value in environment.items() if not name.startswith(_OF_TORCHRUN)}
    return {**kept, PLACE: str(folder), WORLD: str(world)}


def follow(folder: Path, rank: int, join: Join) -> int:
    """Help with one training after another, until the first process ends; its exit code."""
    for name in [name for name in os.environ if name.startswith(_OF_TORCHRUN)]:
        del os.environ[name]
    heard = 0
    while (code := _ended(folder)) is None:
        call = folder / _CALL.format(heard)
        if call.exists():
            join(call, rank)
            heard += 1
        else:
            time.sleep(_PAUSE)
    return code


def _ended(folder: Path) -> int | None:
    is_gone = (folder / _LED).exists() and is_free(folder / "lead")
    if (folder / _ENDED).exists():
        return int((folder / _ENDED).read_bytes())
    return 1 if is_gone else None  # it was killed
