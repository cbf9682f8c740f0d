"""What only one task reads: refused where a profile of another task says it, left behind where one inherits it."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from so8t.spec.fields import TASK
from so8t.spec.mistakes import Mistake
from so8t.spec.profile import Profile
from so8t.spec.yamltree import Entry, Node, dotted

Path = tuple[str | int, ...]


def settled(profile: Profile, models: Mapping[str, type[BaseModel]], mistakes: list[Mistake]) -> Profile:
    """The profile without what belongs to another task; what its own files say of one is a mistake."""
    walk = _Walk(profile, mistakes)
    files = {
        name: walk.node(node, [models[name]], ()) if name in models else node for name, node in profile.files.items()
    }
    return replace(profile, files=files)


@dataclass(frozen=True)
class _Walk:
    profile: Profile
    mistakes: list[Mistake]

    def node(self, node: Node, models: Sequence[type[BaseModel]], path: Path) -> Node:
        """A mapping of one of these models, or a list of such."""
        if isinstance(node.value, tuple):
            items = (self.node(item, models, (*path, at)) for at, item in enumerate(node.value))
            return Node(tuple(items), node.mark, node.written)
        if not isinstance(node.value, dict) or not models:
            return node
        kept = {}
        for key, entry in node.value.items():
            fields = [model.model_fields[key] for model in models if key in model.model_fields]
            if self._stays((*path, key), entry, fields):
                inner = [model for field in fields for model in _models(field.annotation)]
                kept[key] = Entry(entry.key, self.node(entry.node, inner, (*path, key)))
        return Node(kept, node.mark)

    def _stays(self, path: Path, entry: Entry, fields: Sequence[FieldInfo]) -> bool:
        mark = next((found for field in fields if (found := _mark(field)) is not None), None)
        if mark is None:
            return True
        if self.profile.task_of(entry.key.file.name) != self.profile.task:
            return False
        problem = _problem(dotted(path), entry, mark, self.profile.task)
        if problem:
            self.mistakes.append(Mistake(entry.key, f"{problem}: leave it out, or set another task in profile.yaml"))
        return not problem


def _mark(field: FieldInfo) -> Any:
    extra = field.json_schema_extra
    return extra.get(TASK) if isinstance(extra, dict) else None


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Those that a value may be, or that are in a list; what a mapping holds has names of the user's."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) not in (dict, Mapping):
        for part in typing.get_args(annotation):
            yield from _models(part)


def _problem(key: str, entry: Entry, mark: Any, task: str) -> str | None:
    if isinstance(mark, str):
        return None if mark == task else f"{key}: only the task {mark} reads it, and this profile's task is {task}"
    value = entry.node.value
    owner = mark.get(value) if isinstance(value, str) else None
    if owner in (None, task):
        return None
    return f"{key}: {value} is only for the task {owner}, and this profile's task is {task}"
