"""Under torchrun its first process builds, as doit does alone; the others help where a training asks them to.

They find each other by files in the project's state folder, so that nothing listens on a network for it; machines that
are several share that folder.
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
HERE = "SO8T_TOGETHER_HERE"  # how many of the processes are on the machine that builds
ADDRESS = "SO8T_TOGETHER_ADDRESS"  # of that machine, where there are several
SEAT = "SO8T_TOGETHER_SEAT"  # a process's number on its own machine, by which it takes a GPU
_OF_TORCHRUN = ("RANK", "WORLD_SIZE", "LOCAL_", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC_")
_LED, _ENDED, _CALL = "led", "ended", "call-{}.json"
_PAUSE = 0.2
_PATIENCE = 300.0  # seconds until the first process is heard of
_OLD = 7 * 86400.0  # seconds

# in a process that helps: what a training calls with, and the process's number
Join = Callable[[Path, int], Any]


class Several(UserError):
    """torchrun started processes on several machines, which do not know each other."""


@dataclass(frozen=True)
class Place:
    """Of a process among those that torchrun started."""

    rank: int
    world: int
    run: str
    seat: int
    here: int
    address: str = ""  # of the first process's machine, where there are several


def place(environment: Mapping[str, str]) -> Place | None:
    """None for a process that is alone."""
    world, rank = int(environment.get("WORLD_SIZE", "1")), environment.get("RANK", "0")
    if "TORCHELASTIC_RUN_ID" not in environment or world == 1:
        return None
    here, seat = int(environment.get("LOCAL_WORLD_SIZE", world)), int(environment.get("LOCAL_RANK", rank))
    name = environment["TORCHELASTIC_RUN_ID"]
    if here == world:
        run = f"{name}-{environment.get('MASTER_PORT', '')}-{os.getppid()}"
        return Place(int(rank), world, run, seat, here)
    if name in ("", "none"):  # as torchrun calls one without
        raise Several("torchrun: on several machines each run needs an --rdzv-id of its own, the same on all of them")
    run = f"{name}-{environment.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    return Place(int(rank), world, run, seat, here, environment["MASTER_ADDR"])


def take_part(layout: Layout, join: Join) -> None:
    """Returns at once in a process that is alone, and never in another one."""
    found = place(os.environ)
    if found is None:
        return
    folder = layout.shared / "torchrun" / found.run
    sys.exit(follow(folder, found, join) if found.rank else lead(folder, found))


def lead(folder: Path, found: Place) -> int:
    """The same command in a process that knows nothing of torchrun; the others are told its exit code."""
    _sweep(folder.parent)
    with held(folder / "lead", "torchrun: waiting for another run"):
        if found.address and (folder / _LED).exists():
            raise Several(
                "torchrun: there was a run with this --rdzv-id before: each needs one of its own, the same on all "
                "machines"
            )
        write_atomic(folder / _LED, b"")
        running = subprocess.Popen([sys.executable, *sys.orig_argv[1:]], env=alone(os.environ, folder, found))
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


def alone(environment: Mapping[str, str], folder: Path, found: Place) -> dict[str, str]:
    kept = {name: value for name, value in environment.items() if not name.startswith(_OF_TORCHRUN)}
    told = {PLACE: str(folder), WORLD: str(found.world), HERE: str(found.here), SEAT: str(found.seat)}
    return {**kept, **told, **({ADDRESS: found.address} if found.address else {})}


def follow(folder: Path, found: Place, join: Join) -> int:
    """Help with one training after another, until the first process ends; its exit code."""
    for name in [name for name in os.environ if name.startswith(_OF_TORCHRUN)]:
        del os.environ[name]
    os.environ[SEAT] = str(found.seat)
    heard, until = 0, time.monotonic() + _PATIENCE
    while (code := _ended(folder, time.monotonic() > until)) is None:
        call = folder / _CALL.format(heard)
        if call.exists():
            join(call, found.rank)
            heard += 1
        else:
            time.sleep(_PAUSE)
    return code


def _ended(folder: Path, was_long: bool) -> int | None:
    has_begun = (folder / _LED).exists()
    is_gone = has_begun and is_free(folder / "lead")
    if (folder / _ENDED).exists():
        return int((folder / _ENDED).read_bytes())
    if is_gone:
        print("torchrun: the process that builds was killed: run doit again to go on", file=sys.stderr)
        return 1
    if was_long and not has_begun:
        print(
            f"torchrun: nothing was heard of the process that builds for {_PATIENCE:.0f} s: all machines must see the "
            f"project's folder under one path, and {folder} in it",
            file=sys.stderr,
        )
        return 1
    return None
