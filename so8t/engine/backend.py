"""doit's database as so8t keeps it: the manifests speak for stages, a file of doit's own for other tasks of dodo.py."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from doit.cmd_base import check_tasks_exist
from doit.dependency import JsonDB, MD5Checker
from doit.exceptions import InvalidCommand, InvalidDodoFile

from so8t.store.atomic import write_atomic

if TYPE_CHECKING:
    from so8t.engine.tasks import Graph

_KNOWN = "the manifest knows"


class Checker(MD5Checker):
    """File dependencies of stages order the graph; whether their content changed is the manifests' business."""

    def check_modified(self, file_path: str, file_stat: Any, state: Any) -> bool:
        return state != _KNOWN and bool(super().check_modified(file_path, file_stat, state))

    def get_state(self, dep: str, current_state: Any) -> Any:
        return None if current_state == _KNOWN else super().get_state(dep, current_state)


class OwnTasks(JsonDB):
    """What doit remembers of tasks that are not stages; a kill leaves the file as it was."""

    def dump(self) -> None:
        write_atomic(Path(self.name), self.codec.encode(self._db).encode())


class Backend:
    """Of stages it holds which of them the user ignores, and which are to be forgotten."""

    desc = "the manifests of so8t"
    graph: Graph | None = None

    def __init__(self, name: str, codec: Any, *, module_name: str | None = None) -> None:
        self.name, self._codec = name, codec

    def get(self, task_id: str, dependency: str) -> Any:
        if not self._is_stage(task_id):
            return self._own.get(task_id, dependency)
        if dependency == "ignore:":
            return "1" if self._mark("ignored", task_id).exists() else None
        return None if dependency.endswith(":") else _KNOWN

    def set(self, task_id: str, dependency: str, value: Any) -> None:
        if not self._is_stage(task_id):
            self._own.set(task_id, dependency, value)
        elif dependency == "ignore:":
            _touch(self._mark("ignored", task_id))

    def in_(self, task_id: str) -> bool:
        if not self._is_stage(task_id):
            return bool(self._own.in_(task_id))
        return current_graph().plan.layout.manifest(task_id).exists()

    def remove(self, task_id: str) -> None:
        """`doit forget`; doit calls this for a failed task too, and a failed stage's artifact stays what it is.

        A run asks what is current before a stage can fail; `forget` and `clean` never ask.
        """
        if not self._is_stage(task_id):
            self._own.remove(task_id)
        elif not current_graph().asked:
            self._forget(task_id)

    def remove_all(self) -> None:
        for name in current_graph().plan.rows:
            self._forget(name)
        self._own.remove_all()

    def _forget(self, stage: str) -> None:
        """Build again next time, whatever is published or in the store."""
        self._mark("ignored", stage).unlink(missing_ok=True)
        _touch(self._mark("forgotten", stage))

    def dump(self) -> None:
        if "_own" in self.__dict__:  # of stages nothing is kept in memory, so there is nothing to lose
            self._own.dump()

    @cached_property
    def _own(self) -> OwnTasks:
        return OwnTasks(str(current_graph().plan.layout.state / "own-tasks.json"), self._codec)

    def _is_stage(self, task_id: str) -> bool:
        return task_id in current_graph().plan.rows

    def _mark(self, kind: str, stage: str) -> Path:
        layout = current_graph().plan.layout
        return layout.ignored(stage) if kind == "ignored" else layout.forgotten(stage)


def current_graph() -> Graph:
    if Backend.graph is None:
        raise InvalidDodoFile("this dodo.py does not belong to a so8t project: run the command in the folder of one")
    return Backend.graph


def check_stages(tasks: Sequence[Any], names: Sequence[str]) -> None:
    """What our commands are asked about is a stage, not a task that stands beside them."""
    graph = current_graph()
    check_tasks_exist({task.name: task for task in tasks}, names)
    for name in names:
        if name not in graph.plan.rows:
            raise InvalidCommand(f"'{name}' is a task of dodo.py, not a stage: the command works with stages alone")


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
