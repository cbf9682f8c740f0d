"""What only one task reads: refused where a profile of another task says it, left behind where one inherits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import BaseModel

from so8t.spec.fields import TASK
from so8t.spec.mistakes import Mistake
from so8t.spec.profile import Profile
from so8t.spec.yamltree import Entry, Node


def settled(profile: Profile, models: Mapping[str, type[BaseModel]], mistakes: list[Mistake]) -> Profile:
    """The profile without what belongs to another task; what its own files say of one is a mistake."""
    task = profile.task
    files = {name: _settled(node, models.get(name), task, profile, mistakes) for name, node in profile.files.items()}
    return replace(profile, files=files)


def _settled(root: Node, model: type[BaseModel] | None, task: str, profile: Profile, mistakes: list[Mistake]) -> Node:
    if model is None or not isinstance(root.value, dict):
        return root
    kept = {}
    for key, entry in root.value.items():
        field = model.model_fields.get(key)
        extra = field.json_schema_extra if field else None
        mark = extra.get(TASK) if isinstance(extra, dict) else None
        theirs = profile.task_of(entry.key.file.name)
        if mark is None or (theirs == task and (problem := _problem(key, entry, mark, task)) is None):
            kept[key] = entry
        elif theirs == task:
            mistakes.append(Mistake(entry.key, f"{problem}: leave it out, or set another task in profile.yaml"))
    return Node(kept, root.mark)


def _problem(key: str, entry: Entry, mark: Any, task: str) -> str | None:
    if isinstance(mark, str):
        return None if mark == task else f"{key}: only the task {mark} reads it, and this profile's task is {task}"
    value = entry.node.value
    owner = mark.get(value) if isinstance(value, str) else None
    if owner in (None, task):
        return None
    return f"{key}: {value} is only for the task {owner}, and this profile's task is {task}"
