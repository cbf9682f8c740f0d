"""The graph as doit sees it.  The manifests decide what is current; doit's own database says nothing of stages.

One `uptodate` object per task asks the status; a backend and a checker that know no more of a stage keep doit from
deciding on its own, while `list`, `info`, `clean`, `forget`, `ignore` and `-n` work as they always do.
Actions build each stage in a process of its own, which `so8t.engine.births` starts.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from fnmatch import fnmatch
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from doit.exceptions import InvalidDodoFile, TaskError, TaskFailed

from so8t.engine import building, torchrun
from so8t.engine import plan as plans
from so8t.engine.backend import Backend, Checker, current_graph
from so8t.engine.building import Ended
from so8t.engine.leaving import Leaving
from so8t.engine.outlook import Outlook
from so8t.engine.plan import Plan
from so8t.engine.reporter import Reporter
from so8t.engine.status import Session
from so8t.engine.torchrun import Join
from so8t.errors import UserError
from so8t.store.layout import MANIFEST

# by the stages of a run: what to tell before one that takes long, and why it cannot come to its end
Foresee = Callable[[Session, Sequence[str]], tuple[list[str], list[str]]]
Run = tuple[Session, Sequence[str]]  # of a profile, the stages that are wanted


class Cluster(Protocol):
    """The door to the nodes of a cluster; no graph needs it that builds all here."""

    def lacking(self, plan: Plan) -> Iterator[str]: ...

    def build(self, plan: Plan, name: str, forced: bool = False) -> Ended: ...


class Graph:
    """What dodo.py needs: the configuration, and one task dictionary per stage."""

    def __init__(
        self,
        profile: str | None,
        project: Path | None = None,
        foresee: Foresee | None = None,
        cluster: Callable[[], Cluster] | None = None,
        join: Join | None = None,
    ) -> None:
        """`foresee` is asked once a run, before its first stage is built; `cluster` where a stage is built on one.

        `join` is what a process does that torchrun started beside this one.
        """
        self.leaving = Leaving(sys.argv[1:])
        self.leaving.listen()
        self.project = project or Path.cwd()
        self.profile = profile or "tiny"
        try:
            self.plan: Plan = plans.load(self.project, self.profile)
            if join:
                torchrun.take_part(self.plan.layout, join)
        except UserError as error:
            raise InvalidDodoFile(str(error)) from None
        for warning in self.plan.warnings:
            print(warning, file=sys.stderr)
        self.session = Session(self.plan)
        self.selected: list[str] = []  # the stages that the run was asked for
        self._foresee, self.cluster = foresee, cluster
        self.asked = False  # whether a run has asked what is current
        Backend.graph = self

    @cached_property
    def outlook(self) -> Outlook | None:
        """For a person who watches; a file is told what was done alone."""
        return Outlook(self.session, self.selected or self.plan.usual) if sys.stderr.isatty() else None

    @cached_property
    def lacking(self) -> list[str]:
        """What this run needs and the machine has not; asked before its first stage is built."""
        return self.lacks([(self.session, self._wanted())])

    def lacks(self, runs: Sequence[Run]) -> list[str]:
        """The same of several profiles with one profile.yaml, as a sweep makes them: its store and its cluster are
        asked once."""
        plan = runs[0][0].plan
        own = (each for run in runs for each in (*self._ahead(run)[1], *run[0].lacking(run[1])))
        return [*_mistrust(plan), *self._unreachable(runs), *own]

    @cached_property
    def foreseen(self) -> tuple[list[str], list[str]]:
        return self._foresee(self.session, self._wanted()) if self._foresee else ([], [])

    def _ahead(self, run: Run) -> tuple[list[str], list[str]]:
        return self.foreseen if run[0] is self.session or not self._foresee else self._foresee(*run)

    def _wanted(self) -> list[str]:
        named = [name for name in self.plan.rows if any(fnmatch(name, word) for word in sys.argv[1:])]
        return self.plan.above(named or self.plan.usual)

    def _unreachable(self, runs: Sequence[Run]) -> Iterator[str]:
        """Why the cluster that the profile sends stages to cannot be used, if there is one to send."""
        away = (
            session.plan
            for session, names in runs
            if any(not session.plan.runs_here(name) and not session.is_current(name) for name in names)
        )
        if self.cluster and (plan := next(away, None)):
            yield from self.cluster().lacking(plan)

    def config(self) -> dict[str, Any]:
        return {
            "backend": "so8t",
            "dep_file": "artifacts/.so8t/doit",
            "check_file_uptodate": Checker,
            "default_tasks": self.plan.usual,
            "reporter": Reporter,
            "verbosity": 1,
            "sort": "definition",  # doit list in the order of the flow
        }

    def task(self, name: str) -> dict[str, Any]:
        row, layout = self.plan.rows[name], self.plan.layout
        return {
            "basename": name,
            "doc": row.doc,
            "actions": [(run, [name])],
            "file_dep": [layout.shown(layout.manifest(up)) for up in row.upstream] + self._sources(name),
            "targets": self._targets(name),
            "uptodate": [Current(name)],
            "clean": [(clean, [name])],
            "io": {"capture": False},
        }

    def _sources(self, name: str) -> list[str]:
        """Its local files, but for what a stage on request left: doit would build that stage first, unasked."""
        layout = self.plan.layout
        left = [layout.folder(row.name) for row in self.plan.rows.values() if row.on_request]
        try:
            found = [path for _, path in self.session.files(self.plan.rows[name])]
        except UserError:
            return []  # the build says which source is missing
        return [layout.shown(path) for path in found if not any(folder in path.parents for folder in left)]

    def _targets(self, name: str) -> list[str]:
        folder = self.plan.layout.folder(name)
        gives = () if self.session.artifact(name).dropped else self.plan.rows[name].gives
        return [self.plan.layout.shown(folder / given) for given in (*gives, MANIFEST)]


def _mistrust(plan: Plan) -> Iterator[str]:
    """Why results could not be signed and encrypted for the mirror, once they are there."""
    mirror = plan.store.mirror
    try:
        if mirror is not None:
            mirror.trust.sign(b"")
        if mirror is not None and mirror.encryption is not None:
            mirror.encryption.check()
    except UserError as error:
        yield str(error)


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


def run(name: str, task: Any) -> Any:
    """Bring the stage up to date in a process of its own and say how it went."""
    if lacking := current_graph().lacking:
        return TaskFailed("\n".join([*lacking, "nothing was built"]))
    outlook = current_graph().outlook  # asked for before the stage is built, and so before it is current
    forced = getattr(task, "was_current", False)
    return _judge(building.build(current_graph().plan, name, forced), outlook)


def build(name: str) -> int:
    """Bring one stage up to date outside of a doit run; doit's exit codes."""
    graph = current_graph()
    verdict = _judge(building.build(graph.plan, name))
    if verdict is True:
        return 0
    print(verdict.message, file=sys.stderr)
    return 1 if isinstance(verdict, TaskFailed) else 2


def _judge(ended: Ended, outlook: Outlook | None = None) -> Any:
    if ended.how:
        ahead = f" ({where})" if outlook and (where := outlook.after(ended.stage)) else ""
        print(f"   {ended.line}{ahead}", file=sys.stderr, flush=True)
        return True
    return TaskFailed(ended.message) if ended.is_mistake else TaskError(ended.message)
