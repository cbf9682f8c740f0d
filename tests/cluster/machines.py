"""A cluster of two machines on this one, without Ray: real processes, a real store behind two cables, real kills.

It keeps what it knows in a folder, as its jobs outlive the doit that asks for them:

    python -m tests.cluster.machines FOLDER      a doit for the project in FOLDER/project
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from so8t.cluster import follow, package
from so8t.cluster.attempts import Job
from so8t.cluster.jobs import Jobs, Parcel, Taken, Unreachable
from so8t.cluster.remote import Remote
from so8t.engine import plan as plans
from so8t.engine.ensure import ensure
from so8t.errors import UserError

NAMES = ("a", "b")
TERM = 3.0  # seconds of a lease
# a node whose leases end sooner, and that notes when it builds, on the one clock of all processes
NODE = f"""
import os, platform, sys, time
from so8t.engine import fence
from so8t.engine.ensure import Building
from so8t.store import lease

fence.fenced.__wrapped__.__defaults__ = (False, fence.interrupt, {TERM})
lease._POLL = 0.1
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


@dataclass(frozen=True)
class Machines(Jobs):
    """Ray's part, as files: a job is a folder, and the head's memory is the number of its life."""

    folder: Path

    def check(self) -> None:
        self._ask()

    def of(self, key: str) -> list[Job]:
        return [_job(place) for place in sorted(self._ask().glob(f"so8t-{key}-*"))]

    def job(self, id: str) -> Job | None:
        place = self._ask() / id
        return _job(place) if place.exists() else None

    def log(self, id: str) -> str | None:
        place = self._ask() / id
        return None if (place / "lost").exists() else (place / "log").read_text("utf-8", "replace")

    def submit(self, id: str, parcel: Parcel) -> None:
        place = self._ask() / id
        try:
            place.mkdir(parents=True)
        except FileExistsError:
            raise Taken from None
        with package.packed(parcel.files, parcel.order) as packed:
            shutil.copytree(packed, place / "work")
        there = [name for name in NAMES if not (self.folder / f"gone-{name}").exists()]
        name = there[len(list(self.folder.glob("jobs/*/*"))) % len(there)]
        (place / "machine").write_text(name)
        ports = json.loads((self.folder / "ports.json").read_bytes())
        environment = {
            **os.environ, **parcel.environment, "MACHINE": name, "BUILDS": str(self.folder / "builds"),
            "PYTHONPATH": "", "XDG_CACHE_HOME": str(self.folder / f"cache-{name}"),
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{ports[name]}",
        }  # fmt: skip
        command = (
            'echo $$ > pid.part; mv pid.part ../pid; "$@" >> ../log 2>&1; echo $? > code.part; mv code.part ../code'
        )
        (place / "log").touch()
        subprocess.Popen(
            ["sh", "-c", command, "sh", sys.executable, "-X", "utf8", "-c", NODE], cwd=place / "work",
            env=environment, start_new_session=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def stop(self, id: str) -> None:
        raise AssertionError("nobody stops a job here")

    def _ask(self) -> Path:
        """The folder of the jobs that the head knows."""
        if (self.folder / "down").exists():
            raise Unreachable("connection refused")
        life = self.folder / "jobs" / (self.folder / "life").read_text()
        life.mkdir(parents=True, exist_ok=True)
        return life


def _job(place: Path) -> Job:
    if (place / "lost").exists():
        return Job(place.name, "FAILED", "its node is lost")
    pid = place / "pid"
    is_over = pid.exists() and not _lives(int(pid.read_text()))  # asked first, for the code is its last word
    with contextlib.suppress(FileNotFoundError):
        code = int((place / "code").read_text())
        return Job(place.name, "FAILED" if code else "SUCCEEDED", f"exit code {code}", code)
    return Job(place.name, "FAILED" if is_over else "RUNNING", "all of it was killed" if is_over else "")


# ---- what goes wrong -----------------------------------------------------------------------------------------


class Cable:
    """All that a machine sends to the store and hears of it."""

    def __init__(self, store: tuple[str, int]) -> None:
        self._store, self.pulled, self.delay = store, False, 0.0
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self.pulled = True
        self._door.close()

    def _serve(self) -> None:
        while True:
            try:
                near, _ = self._door.accept()
                far = socket.create_connection(self._store)
            except OSError:
                return  # the door is closed
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                time.sleep(self.delay)
                if self.pulled:
                    break
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class World:
    """Both machines, their cables, the head, and a doit."""

    def __init__(self, folder: Path, store: str) -> None:
        host, _, port = store.removeprefix("http://").partition(":")
        self.folder, self.machines = folder, Machines(folder)
        self.cables = {name: Cable((host, int(port))) for name in NAMES}
        self._lives = itertools.count()
        (folder / "ports.json").write_text(json.dumps({name: cable.port for name, cable in self.cables.items()}))
        self.new_head()
        self._doit: subprocess.Popen[bytes] | None = None

    def new_head(self) -> None:
        (self.folder / "life").write_text(str(next(self._lives)))

    def start_doit(self) -> None:
        with (self.folder / "told").open("ab") as told:
            command = [sys.executable, "-m", "tests.cluster.machines", str(self.folder)]
            self._doit = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=told, stderr=told)

    @property
    def said(self) -> str:
        return (self.folder / "told").read_text("utf-8")

    def ended(self) -> int | None:
        assert self._doit
        return self._doit.poll()

    def wait(self) -> int:
        assert self._doit
        return self._doit.wait(timeout=120)

    def kill_doit(self) -> None:
        assert self._doit
        self._doit.kill()
        self._doit.wait()

    def builder(self) -> tuple[int, str] | None:
        """The process that builds now, and its machine."""
        ends = {pid: moment for pid, _, moment in self.builds()}
        running = [pid for pid, moment in ends.items() if moment is None]
        for place in self.folder.glob("jobs/*/*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                leader = int((place / "pid").read_text())
                for pid in running:
                    if os.getsid(pid) == leader:
                        return pid, (place / "machine").read_text()
        return None

    def kill(self, pid: int, whole: bool) -> None:
        """The job's process, or all of it, so that nobody tells how it ended."""
        leader = os.getsid(pid)
        if whole:
            os.killpg(leader, signal.SIGSTOP)  # else the shell is quick enough to write a code
            os.kill(leader, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        while _lives(pid):
            time.sleep(0.005)
        with (self.folder / "builds").open("a") as builds:
            builds.write(f"{time.monotonic()} {pid} ends\n")

    def lose(self, name: str) -> None:
        """Its cable is pulled, and the head says that the machine is lost, and its jobs with it."""
        self.cables[name].pulled = True
        (self.folder / f"gone-{name}").touch()
        for place in self.folder.glob("jobs/*/*"):
            if (place / "machine").read_text() == name and not (place / "code").exists():
                (place / "lost").touch()

    def mend(self, name: str) -> None:
        self.cables[name].pulled = False
        (self.folder / f"gone-{name}").unlink()

    def builds(self) -> list[tuple[int, float, float | None]]:
        """Who built, from when to when, in the order in which they began."""
        begun: dict[int, float] = {}
        ends: dict[int, float] = {}
        path = self.folder / "builds"
        for line in path.read_text().splitlines() if path.exists() else ():
            moment, pid, what = line.split()
            (begun if what == "begins" else ends).setdefault(int(pid), float(moment))
        return [(pid, moment, ends.get(pid)) for pid, moment in begun.items()]

    def close(self) -> None:
        for place in self.folder.glob("jobs/*/*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if not (place / "code").exists():
                    os.killpg(int((place / "pid").read_text()), signal.SIGKILL)
        for cable in self.cables.values():
            cable.close()
        if self._doit and self._doit.poll() is None:
            self.kill_doit()


def _lives(pid: int) -> bool:
    """A zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextlib.contextmanager
def world(folder: Path, store: str) -> Iterator[World]:
    made = World(folder, store)
    try:
        yield made
    finally:
        made.close()


# ---- a doit --------------------------------------------------------------------------------------------------


def main(argv: Sequence[str]) -> int:
    folder = Path(argv[0])
    os.chdir(folder / "project")
    follow._PAUSE = 0.05
    project = Path.cwd()
    sys.path.insert(0, str(project))
    try:
        plan = plans.load(project, "tiny")
        for name in plan.usual:
            builder = None if plan.runs_here(name) else partial(Remote, jobs=Machines(folder))
            ensure(project, "tiny", name, builder=builder)
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
