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
import subprocess
import sys
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
from tests.cluster import story
from tests.cluster.cables import Cable
from tests.cluster.faults import Fault
from tests.cluster.story import Build, lives

NAMES = ("a", "b")
NODE = story.NODE.format(term=3.0, poll=0.1)  # seconds of a lease, and of waiting for it


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


def _machine(place: Path) -> str:
    """Empty for a job that is being handed in, and will be given to one that is there."""
    try:
        return (place / "machine").read_text()
    except FileNotFoundError:
        return ""


def _job(place: Path) -> Job:
    if (place / "lost").exists():
        return Job(place.name, "FAILED", "its node is lost")
    pid = place / "pid"
    is_over = pid.exists() and not lives(int(pid.read_text()))  # asked first, for the code is its last word
    with contextlib.suppress(FileNotFoundError):
        code = int((place / "code").read_text())
        return Job(place.name, "FAILED" if code else "SUCCEEDED", f"exit code {code}", code)
    return Job(place.name, "FAILED" if is_over else "RUNNING", "all of it was killed" if is_over else "")


# ---- what goes wrong -----------------------------------------------------------------------------------------


class World:
    """Both machines, their cables, the head, and a doit."""

    patience = 120.0

    def __init__(self, folder: Path, store: str) -> None:
        host, _, port = store.removeprefix("http://").partition(":")
        self.folder, self.machines = folder, Machines(folder)
        self.cables = {name: Cable((host, int(port)), folder / f"cable-{name}").start() for name in NAMES}
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
        ends = {pid: moment for pid, _, moment in self.builds()}
        running = [pid for pid, moment in ends.items() if moment is None]
        for place in self.folder.glob("jobs/*/*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                leader = int((place / "pid").read_text())
                for pid in running:
                    name = (place / "machine").read_text()
                    if os.getsid(pid) == leader and not self.cables[name].has("pulled"):
                        return pid, name
        return None

    def kill(self, pid: int, whole: bool) -> None:
        """The job's process, or all of it, so that nobody tells how it ended."""
        leader = os.getsid(pid)
        if whole:
            os.killpg(leader, signal.SIGSTOP)  # else the shell is quick enough to write a code
            os.kill(leader, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)
        while lives(pid):
            time.sleep(0.005)
        story.note_end(self.folder / "builds", pid)

    def lose(self, name: str) -> None:
        """Its cable is pulled, and the head says that the machine is lost, and its jobs with it."""
        self.cables[name].set("pulled")
        (self.folder / f"gone-{name}").touch()
        for place in self.folder.glob("jobs/*/*"):
            if _machine(place) == name and not (place / "code").exists():
                (place / "lost").touch()

    def strike(self, fault: Fault, pid: int, name: str) -> float | None:
        if fault.kind == "driver":
            self.kill_doit()
            self.start_doit()
        elif fault.kind in ("job", "node"):
            self.kill(pid, whole=fault.kind == "node")
            if fault.kind == "node":
                shutil.rmtree(self.folder / f"cache-{name}")
        elif fault.kind == "head":
            (self.folder / "down").touch()
            time.sleep(0.5)
            self.new_head()
            (self.folder / "down").unlink()
        elif fault.kind == "cable":
            self.lose(name)
            return fault.lasting
        else:
            self.cables[name].set(fault.kind)
            return fault.lasting
        return None

    def mend(self, kind: str, name: str) -> None:
        self.cables[name].clear("pulled" if kind == "cable" else kind)
        if kind == "cable":
            (self.folder / f"gone-{name}").unlink()

    def builds(self) -> list[Build]:
        return story.builds(self.folder / "builds")

    def close(self) -> None:
        for place in self.folder.glob("jobs/*/*"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if not (place / "code").exists():
                    os.killpg(int((place / "pid").read_text()), signal.SIGKILL)
        for cable in self.cables.values():
            cable.close()
        if self._doit and self._doit.poll() is None:
            self.kill_doit()


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
