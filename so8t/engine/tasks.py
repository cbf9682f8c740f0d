"""The graph as doit sees it.  The manifests decide what is current; doit's own database decides nothing.

One `uptodate` object per task asks the status; a backend without memory and a checker that leaves files alone keep
doit from deciding on its own, while `list`, `info`, `clean`, `forget`, `ignore` and `-n` work as they always do.
Actions run `so8t.engine.process` in a process of its own.
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
from pathlib import Path
from types import FrameType
from typing import Any

from doit.dependency import FileChangedChecker
from doit.exceptions import InvalidDodoFile, TaskError, TaskFailed

from so8t.engine import plan as plans
from so8t.engine.bring import AGAIN, ATTEMPTS
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


class Checker(FileChangedChecker):
    """File dependencies order the graph; whether their content changed is the manifests' business."""

    def check_modified(self, file_path: str, file_stat: Any, state: Any) -> bool:
        return False

    def get_state(self, dep: str, current_state: Any) -> None:
        return None


class Backend:
    """doit's database: nothing in it but which tasks the user ignores, and `forget`."""

    desc = "the manifests of so8t"
    graph: Graph | None = None

    def __init__(self, name: str, codec: Any, *, module_name: str | None = None) -> None:
        self.name = name

    def get(self, task_id: str, dependency: str) -> Any:
        if dependency == "ignore:":
            return "1" if self._mark("ignored", task_id).exists() else None
        return None if dependency.endswith(":") else "the manifest knows"

    def set(self, task_id: str, dependency: str, value: Any) -> None:
        if dependency == "ignore:":
            _touch(self._mark("ignored", task_id))

    def in_(self, task_id: str) -> bool:
        return self._graph().plan.layout.manifest(task_id).exists()

    def remove(self, task_id: str) -> None:
        """`doit forget`; doit calls this for a failed task too, whose published artifact stays what it is.

        A run asks what is current before anything can fail; `forget` and `clean` never ask.
        """
        if not self._graph().asked:
            self.forget(task_id)

    def remove_all(self) -> None:
        for name in self._graph().plan.rows:
            self.forget(name)

    def forget(self, task_id: str) -> None:
        """Build again next time, whatever is published or in the store."""
        self._mark("ignored", task_id).unlink(missing_ok=True)
        _touch(self._mark("forgotten", task_id))

    def dump(self) -> None:
        pass  # nothing is kept in memory, so there is nothing to lose

    def _graph(self) -> Graph:
        return current_graph()

    def _mark(self, kind: str, task_id: str) -> Path:
        layout = self._graph().plan.layout
        return layout.ignored(task_id) if kind == "ignored" else layout.forgotten(task_id)


def current_graph() -> Graph:
    if Backend.graph is None:
        raise InvalidDodoFile("this dodo.py does not make a graph of so8t: the command works in so8t projects alone")
    return Backend.graph


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


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
    return _judge(name, *_spawn(profile, name, forced=getattr(task, "was_current", False)))


def build(name: str) -> int:
    """Bring one stage up to date outside of a doit run; doit's exit codes."""
    graph = current_graph()
    verdict = _judge(name, *_spawn(graph.profile, name, forced=False))
    if verdict is True:
        return 0
    print(verdict.message, file=sys.stderr)
    return 1 if isinstance(verdict, TaskFailed) else 2


def _spawn(profile: str, name: str, forced: bool) -> tuple[int, bytes]:
    command = [sys.executable, "-X", "utf8", "-m", "so8t.engine.process", profile, name] + ["force"] * forced
    # libgomp's threads spin for long while they wait, which slows training tenfold as soon as anything else runs;
    # not at all slows it by half on a quiet machine
    env = {"GOMP_SPINCOUNT": "3000", **os.environ, "PYTHONHASHSEED": "0"}
    for _ in range(ATTEMPTS):
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as child, _Terminable():
            try:
                answer = child.stdout.read() if child.stdout else b""
                child.wait()
            except BaseException:
                _stop(child)
                raise
        if child.returncode != AGAIN:
            return child.returncode, answer
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


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Close the pipe that the child lives on; it has time to leave its work in order."""
    assert child.stdin is not None
    child.stdin.close()
    try:
        child.wait(timeout=12)
    except subprocess.TimeoutExpired:
        child.kill()


def _judge(name: str, code: int, answer: bytes) -> Any:
    try:
        said = json.loads(answer)
    except ValueError:  # killed before it had its say
        said = {}
    if code == 0 and "how" in said:
        took = f" in {said['seconds']:.1f} s" if said["how"] != "reused" else ""
        print(f"   {name}: {said['how']}{took}", file=sys.stderr, flush=True)
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
