"""What a build on a cluster undergoes by a schedule of faults, and what must hold after it, whatever the cluster is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from so8t.store import lease
from so8t.store.cache import Store
from so8t.store.mirror import Mirror
from so8t.store.s3 import S3Objects
from tests.cluster.faults import Fault
from tests.house import House

SLACK = 0.5  # seconds that a stopped builder may take to end
# a node whose leases end sooner, and that notes when it builds, on the one clock of all processes
NODE = """
import os, platform, sys, time
from so8t.engine import fence
from so8t.engine.ensure import Building
from so8t.store import lease

fence.fenced.__wrapped__.__defaults__ = (False, fence.interrupt, {term})
lease._POLL = {poll}
if "MACHINE" in os.environ:
    platform.node = lambda: "node-" + os.environ["MACHINE"]

def note(what):
    with open(os.environ["BUILDS"], "a") as builds:
        builds.write(f"{{time.monotonic()}} {{os.getpid()}} {{what}}\\n")

call = Building._call
def noted(self, out):
    note("begins")
    try:
        return call(self, out)
    finally:
        note("ends")
Building._call = noted

from so8t.cluster import node
sys.exit(node.main())
"""


class World(Protocol):
    """A cluster, its store, and a doit; `doubled` is built by a node, and waits where `hold-doubled` lies."""

    folder: Path
    patience: float  # seconds until somebody is seen to build

    @property
    def said(self) -> str: ...

    def start_doit(self) -> None: ...

    def ended(self) -> int | None:
        """The doit's exit code."""

    def builder(self) -> tuple[int, str] | None:
        """The process that builds now, and its machine; behind a pulled cable nobody is seen."""

    def strike(self, fault: Fault, pid: int, name: str) -> float | None:
        """It goes wrong; seconds until it is to be mended."""

    def mend(self, kind: str, name: str) -> None: ...


Broken = list[tuple[float, str, str]]  # when what is mended


def play(there: World, faults: Sequence[Fault]) -> None:
    """Nobody comes to an end before all has gone wrong; then doit is run until it says that all is well."""
    door = there.folder / "hold-doubled"
    door.touch()
    there.start_doit()
    broken: Broken = []
    for fault in faults:
        pid, name = seen(there, broken)
        time.sleep(fault.after)
        lasting = there.strike(fault, pid, name)
        if lasting is not None:
            broken.append((time.monotonic() + lasting, fault.kind, name))
    door.unlink()
    for _ in range(12):
        while there.ended() is None:
            mended(there, broken)
            time.sleep(0.05)
        if there.ended() == 0:
            return
        there.start_doit()
    raise AssertionError(there.said)


def seen(there: World, broken: Broken) -> tuple[int, str]:
    """Who builds now; a doit that has ended with a sentence is run again."""
    deadline = time.monotonic() + there.patience
    while (found := there.builder()) is None:
        assert time.monotonic() < deadline, there.said
        mended(there, broken)
        if there.ended() is not None:
            there.start_doit()
        time.sleep(0.02)
    return found


def mended(there: World, broken: Broken) -> None:
    for entry in [entry for entry in broken if time.monotonic() >= entry[0]]:
        broken.remove(entry)
        there.mend(*entry[1:])


# ---- who built -----------------------------------------------------------------------------------------------

Build = tuple[int, float, float | None]  # a process, from when to when


def builds(path: Path) -> list[Build]:
    """In the order in which they began, from what nodes noted."""
    begun: dict[int, float] = {}
    ends: dict[int, float] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        moment, pid, what = line.split()
        (begun if what == "begins" else ends).setdefault(int(pid), float(moment))
    return [(pid, moment, ends.get(pid)) for pid, moment in begun.items()]


def note_end(path: Path, pid: int) -> None:
    """Of one that was killed and noted nothing."""
    with path.open("a") as noted:
        noted.write(f"{time.monotonic()} {pid} ends\n")


def lives(pid: int) -> bool:
    """A zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# ---- what must hold ------------------------------------------------------------------------------------------


def manifests(house: House) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in (house.path / "artifacts/tiny").glob("*/manifest.json")}


def at_once(found: Sequence[Build]) -> float:
    """The longest time for which two built."""
    spans = [(begun, ended) for _, begun, ended in found if ended is not None]
    assert len(spans) == len(found), "somebody builds for ever"
    return max(
        (min(ended, later[1]) - later[0] for at, (_, ended) in enumerate(spans) for later in spans[at + 1 :]),
        default=0.0,
    )


def whole(mirror: Mirror, folder: Path) -> None:
    """Every result in the store has all of its files, and nobody waits for a lease."""
    from so8t.store import remote

    fs, base = remote.open_fs(mirror.url)
    keys = [path.rpartition("/")[2].removesuffix(".json") for path in fs.find(f"{base}/entries")]
    assert len(keys) == 5  # all results are offered
    for key in keys:
        manifest = mirror.manifest(key)
        assert manifest and Store(folder / "store", mirror=mirror).restore(manifest, folder / key)
    (held,) = fs.find(f"{base}/leases")
    found = S3Objects(mirror.url).read(f"leases/{held.rpartition('/')[2]}")
    assert found and lease.decode(found.data).free
