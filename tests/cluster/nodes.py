"""Two real Ray nodes as a world in which things go wrong: one beside the head, one behind a cable."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from tests.cluster import story
from tests.cluster.faults import Fault
from tests.cluster.network import HEAD, Cluster, There
from tests.cluster.story import Build

NODE = story.NODE.format(term=10.0, poll=0.5)  # seconds of a lease, and of waiting for it
LONG = 15.0  # a cable is pulled so many times as long as the schedule says: Ray misses a node after a minute


class Watched(Cluster):
    """Its nodes note when they build, and all that it says to its store goes through a cable of ours."""

    store = 5556

    def __init__(self, folder: Path, log: Path) -> None:
        super().__init__(folder, log)
        self.cable = folder / "store"
        self.python = folder / "python"
        program = folder / "node.py"
        program.write_text(NODE)
        self.python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -X utf8 -c "$(cat {program})"\n')
        self.python.chmod(0o755)

    def _start_store(self) -> None:
        with (self.folder / "cable.log").open("ab") as told:
            words = [sys.executable, "-m", "tests.cluster.cables", HEAD, "5555", str(self.store), str(self.cable)]
            self._started.append(subprocess.Popen([*self.network.into("a"), *words], stdout=told, stderr=told))
        super()._start_store()

    def environment(self, which: str) -> dict[str, str]:
        return {**super().environment(which), "BUILDS": str(self.folder / "builds")}

    def flag(self, what: str) -> Path:
        """Of what is wrong with the cable to the store."""
        return self.cable.with_name(f"{self.cable.name}-{what}")

    def calm(self) -> None:
        """As it was in the beginning: node-b is there, and nobody beside the head."""
        self.network.mend()
        for what in ("slow", "busy"):
            self.flag(what).unlink(missing_ok=True)
        self.lose("c")
        if self.nodes["b"].poll() is not None:
            self.network.empty("b")
            self.start_node()


def _kill(pid: int) -> None:
    """Unless what went wrong before has ended it meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


class Nodes:
    """What a schedule strikes: a cluster, and the doit of one project."""

    patience = 400.0

    def __init__(self, cluster: Watched, house: There, folder: Path) -> None:
        self.folder, self._cluster, self._house = cluster.folder, cluster, house
        self._told, self._builds = folder / "told", cluster.folder / "builds"
        self._builds.unlink(missing_ok=True)
        self._is_over = threading.Event()
        self._watch = threading.Thread(target=self._note_ends, daemon=True)
        self._watch.start()

    @property
    def said(self) -> str:
        return self._told.read_text("utf-8")

    def start_doit(self) -> None:
        with self._told.open("a") as told:
            self._doit = self._house.start(stdout=told, stderr=told)

    def ended(self) -> int | None:
        return self._doit.poll()

    def builder(self) -> tuple[int, str] | None:
        behind = self._cluster.network.pids("b")
        running = [(pid, "b" if pid in behind else "c") for pid, _, ended in self.builds() if ended is None]
        return next((each for each in running if each[1] == "c" or not self._cluster.network.is_pulled), None)

    def builds(self) -> list[Build]:
        return story.builds(self._builds)

    def strike(self, fault: Fault, pid: int, name: str) -> float | None:
        cluster = self._cluster
        if fault.kind == "driver":
            os.killpg(self._doit.pid, signal.SIGKILL)
            self._doit.wait()
            self.start_doit()
        elif fault.kind == "job":
            _kill(pid)
        elif fault.kind == "node":
            _kill(pid)  # one that waits is of the node before it, perhaps
            cluster.lose(name)
            shutil.rmtree(cluster.folder / f"home-{name}" / "cache", ignore_errors=True)
            cluster.start_node("b" if name == "b" else "a", name)
        elif fault.kind == "head":
            cluster.kill_head()
            cluster.start_head()
            cluster.start_node(*(("a", "c") if cluster.network.is_pulled else ("b", "b")))
        elif fault.kind == "cable":
            cluster.network.pull()
            if "c" not in cluster.nodes or cluster.nodes["c"].poll() is not None:
                cluster.start_node("a", "c")
            return fault.lasting * LONG
        else:
            cluster.flag(fault.kind).touch()
            return fault.lasting
        return None

    def mend(self, kind: str, name: str) -> None:
        if kind == "cable":
            self._cluster.network.mend()
        else:
            self._cluster.flag(kind).unlink(missing_ok=True)

    def close(self) -> None:
        if self._doit.poll() is None:
            os.killpg(self._doit.pid, signal.SIGKILL)
            self._doit.wait()
        self._is_over.set()
        self._watch.join()

    def _note_ends(self) -> None:
        """Of those that were killed."""
        while not self._is_over.is_set():
            for pid, _, ended in self.builds():
                if ended is None and not story.lives(pid):
                    story.note_end(self._builds, pid)
            time.sleep(0.05)


@contextlib.contextmanager
def nodes(cluster: Watched, house: There, folder: Path) -> Iterator[Nodes]:
    made = Nodes(cluster, house, folder)
    try:
        yield made
    finally:
        made.close()
