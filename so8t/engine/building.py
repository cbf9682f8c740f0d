"""One stage built in a process of its own, and how that ended: for doit's tasks, and for whole profiles at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from so8t.engine import births
from so8t.engine.backend import Backend
from so8t.engine.births import SPOILED, Born, Fresh
from so8t.engine.bring import AGAIN, ATTEMPTS, LONGEST
from so8t.engine.plan import Plan
from so8t.engine.status import Session

_SOON = 3.0  # seconds in which a stage has mostly ended, so that nobody need be told of it


@dataclass(frozen=True)
class Ended:
    """How a stage became current, or the message that says why it did not."""

    stage: str
    how: str = ""  # reused, restored, built; empty: it failed
    seconds: float = 0.0
    message: str = ""
    is_mistake: bool = True  # of the user's or of the world's; False: a bug

    @property
    def line(self) -> str:
        took = f" in {self.seconds:.1f} s" if self.how != "reused" else ""
        return f"{self.stage}: {self.how}{took}"


def build(plan: Plan, name: str, forced: bool = False) -> Ended:
    """Bring the stage up to date; interrupted, the process has time to leave its work in order."""
    if not plan.runs_here(name):
        return _elsewhere(plan, name, forced)
    return _in_process(plan, name, ["force"] * forced)


def _elsewhere(plan: Plan, name: str, forced: bool) -> Ended:
    """On a cluster, through the door that dodo.py knows."""
    cluster = Backend.graph.cluster if Backend.graph else None
    if cluster is None:
        return Ended(name, message=f"{name}: this dodo.py knows no cluster: pass cluster= to Graph, as so8t's own does")
    return cluster().build(plan, name, forced)


def again(plan: Plan, name: str, place: Path) -> Ended:
    """Build it once more into `place`/out, and publish nothing."""
    return _in_process(plan, name, ["again", str(place)])


def _in_process(plan: Plan, name: str, how: list[str]) -> Ended:
    stage, fresh = [plan.layout.profile, name, *how], False
    shared = () if not how and _is_in_store(plan, name) else plan.rows[name].packages
    for _ in range(ATTEMPTS):
        child = births.start(stage, shared, fresh)
        with child.stdin, child.stdout:
            try:
                answer = child.stdout.read()
                code = child.wait()
            except BaseException:
                _stop(name, child)
                raise
        if code not in (AGAIN, SPOILED):
            return _ended(name, code, answer)
        fresh = fresh or code == SPOILED
    return Ended(name, message=f"{name}: its code kept changing; nothing was published, run doit again")


def _is_in_store(plan: Plan, name: str) -> bool:
    """Whether it is most likely restored, which needs no package; if not, its process imports them by itself."""
    wanted = Session(plan).status(name).wanted
    return wanted is not None and plan.store.entry(wanted.key).exists()


def _stop(name: str, child: Fresh | Born) -> None:
    """Close the pipe that the child lives on, and give it the time that it takes to leave its work in order."""
    child.stdin.close()
    try:
        try:
            child.wait(timeout=_SOON)
        except subprocess.TimeoutExpired:
            print(f"waiting for {name} to keep its work; Ctrl-C again ends it at once", file=sys.stderr, flush=True)
            child.wait(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        child.kill()
    except BaseException:  # told to end a second time
        child.kill()
        raise


def _ended(name: str, code: int, answer: bytes) -> Ended:
    """From its exit code and its last word, which counts whatever happened to it after that."""
    try:
        said = json.loads(answer)
    except ValueError:  # killed before it had its say
        said = {}
    if "how" in said:
        return Ended(name, said["how"], said["seconds"])
    if "error" in said:
        return Ended(name, message=said["error"])
    if "bug" in said:
        text = f"{name}: a bug in so8t or in the stage; please report it\n{said['bug']}"
        return Ended(name, message=text, is_mistake=False)
    if code < 0:
        killed = signal.Signals(-code).name
        hint = " (out of memory? lower what the stage needs at once)" if killed == "SIGKILL" else ""
        text = f"{name}: killed by {killed}{hint}; nothing was published, run doit again to go on"
        return Ended(name, message=text)
    return Ended(name, message=f"{name}: ended with exit code {code} and without a word", is_mistake=False)
