"""The graph as doit sees it.  The manifests decide what is current; doit's own database says nothing of stages.

One `uptodate` object per task asks the status; a backend and a checker that know no more of a stage keep doit from
deciding on its own, while `list`, `info`, `clean`, `forget`, `ignore` and `-n` work as they always do.
Actions build each stage in a process of its own, which `so8t.engine.births` starts.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

from doit.exceptions import InvalidDodoFile, TaskError, TaskFailed

from so8t.engine import births
from so8t.engine import plan as plans
from so8t.engine.backend import Backend, Checker, current_graph
from so8t.engine.births import SPOILED, Born, Fresh
from so8t.engine.bring import AGAIN, ATTEMPTS
from so8t.engine.outlook import Outlook
from so8t.engine.plan import Plan
from so8t.engine.status import Session
from so8t.errors import UserError
from so8t.store.layout import MANIFEST


class Graph:
    """What dodo.py needs: the configuration, and one task dictionary per stage."""

    def __init__(self, profile: str | None, project: Path | None = None) -> None:
        self.project = project or Path.cwd()
        self.profile = profile or "tiny"
        try:
            self.plan: Plan = plans.load(self.project, self.profile)
        except UserError as error:
            raise InvalidDodoFile(str(error)) from None
        for warning in self.plan.warnings:
            print(warning, file=sys.stderr)
        self.session = Session(self.plan)
        self.asked = False  # whether a run has asked what is current
        Backend.graph = self
        _leave_with_doit()

    @cached_property
    def outlook(self) -> Outlook | None:
        """For a person who watches; a file is told what was done alone."""
        return Outlook(self.session) if sys.stderr.isatty() else None

    def config(self) -> dict[str, Any]:
        return {
            "backend": "so8t",
            "dep_file": "artifacts/.so8t/doit",
            "check_file_uptodate": Checker,
            "default_tasks": self.plan.usual,
            "verbosity": 1,
            "sort": "definition",  # doit list in the order of the flow
        }

    def task(self, name: str) -> dict[str, Any]:
        row, layout = self.plan.rows[name], self.plan.layout
        return {
            "basename": name,
            "doc": row.doc,
            "actions": [(run, [self.profile, name])],
            "file_dep": [layout.shown(layout.manifest(up)) for up in row.upstream] + self._sources(name),
            "targets": self._targets(name),
            "uptodate": [Current(name)],
            "clean": [(clean, [name])],
            "io": {"capture": False},
        }

    def _sources(self, name: str) -> list[str]:
        try:
            return [self.plan.layout.shown(path) for _, path in self.session.files(self.plan.rows[name])]
        except UserError:
            return []  # the build says which source is missing

    def _targets(self, name: str) -> list[str]:
        folder = self.plan.layout.folder(name)
        gives = () if self.session.artifact(name).dropped else self.plan.rows[name].gives
        return [self.plan.layout.shown(folder / given) for given in (*gives, MANIFEST)]


class Current:
    """doit's `uptodate` check of one stage; shows its reasons in `doit info`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, task: Any, values: Any) -> bool:
        graph = current_graph()
        graph.asked = True
        current = graph.session.is_current(self.name)
        task.was_current = current  # the action is called all the same by doit run --always-execute
        return current

    def __repr__(self) -> str:
        reasons = current_graph().session.deep_status(self.name).reasons
        return "; ".join(reason.sentence for reason in reasons) or self.name


# ---- actions -------------------------------------------------------------------------------------------------


def clean(name: str, dryrun: bool) -> None:
    from so8t.store.locks import stage_lock
    from so8t.store.publish import displace

    layout = current_graph().plan.layout
    if not layout.folder(name).exists():
        return
    print(f"{name} - removing {layout.shown(layout.folder(name))}")
    if not dryrun:
        with stage_lock(layout, name):
            displace(layout, name, current_graph().plan.store)


def run(profile: str, name: str, task: Any) -> Any:
    """Bring the stage up to date in a process of its own and say how it went."""
    outlook = current_graph().outlook  # asked for before the stage is built, and so before it is current
    return _judge(name, *_build(profile, name, forced=getattr(task, "was_current", False)), outlook)


def build(name: str) -> int:
    """Bring one stage up to date outside of a doit run; doit's exit codes."""
    graph = current_graph()
    verdict = _judge(name, *_build(graph.profile, name, forced=False))
    if verdict is True:
        return 0
    print(verdict.message, file=sys.stderr)
    return 1 if isinstance(verdict, TaskFailed) else 2


def _build(profile: str, name: str, forced: bool) -> tuple[int, bytes]:
    """In a process of the stage's own: its exit code, and its last word."""
    fresh, packages = False, current_graph().plan.rows[name].packages
    for _ in range(ATTEMPTS):
        child = births.start([profile, name] + ["force"] * forced, packages, fresh)
        with child.stdin, child.stdout, _Terminable():
            try:
                answer = child.stdout.read()
                code = child.wait()
            except BaseException:
                _stop(child)
                raise
        if code not in (AGAIN, SPOILED):
            return code, answer
        fresh = fresh or code == SPOILED
    message = f"{name}: its code kept changing; nothing was published, run doit again"
    return 1, json.dumps({"error": message}).encode()


def _leave_with_doit() -> None:
    """With doit -n, workers end when doit does, however it does, and their builders end with them."""
    if hasattr(os, "register_at_fork"):
        doit = os.getpid()
        # the parent's number tells: a sibling may hold the pipe behind multiprocessing's is_alive open for ever
        os.register_at_fork(after_in_child=lambda: _watch(lambda: os.getppid() == doit))
    elif boss := multiprocessing.parent_process():  # spawned: the worker loads dodo.py itself
        _watch(boss.is_alive)


def _watch(alive: Callable[[], bool]) -> None:
    def watch() -> None:
        while alive():
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True, name="doit watch").start()


def _stop(child: Fresh | Born) -> None:
    """Close the pipe that the child lives on; it has time to leave its work in order."""
    child.stdin.close()
    try:
        child.wait(timeout=12)
    except subprocess.TimeoutExpired:
        child.kill()


def _judge(name: str, code: int, answer: bytes, outlook: Outlook | None = None) -> Any:
    try:
        said = json.loads(answer)
    except ValueError:  # killed before it had its say
        said = {}
    if "how" in said:  # its last word, whatever happened to it after that
        took = f" in {said['seconds']:.1f} s" if said["how"] != "reused" else ""
        ahead = f" ({where})" if outlook and (where := outlook.after(name)) else ""
        print(f"   {name}: {said['how']}{took}{ahead}", file=sys.stderr, flush=True)
        return True
    if "error" in said:
        return TaskFailed(said["error"])
    if "bug" in said:
        return TaskError(f"{name}: a bug in so8t or in the stage; please report it\n{said['bug']}")
    if code < 0:
        killed = signal.Signals(-code).name
        hint = " (out of memory? lower what the stage needs at once)" if killed == "SIGKILL" else ""
        return TaskFailed(f"{name}: killed by {killed}{hint}; nothing was published, run doit again to go on")
    return TaskError(f"{name}: ended with exit code {code} and without a word")


class _Terminable:
    """SIGTERM ends the wait like Ctrl-C does, so that doit reports what it finished."""

    def __enter__(self) -> None:
        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._before = signal.signal(signal.SIGTERM, _terminate)

    def __exit__(self, *exc: object) -> None:
        if self._main:
            signal.signal(signal.SIGTERM, self._before)


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.stderr.write("terminated: finished stages are safe, run doit again to go on\n")
    sys.exit(128 + number)
