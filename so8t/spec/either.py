"""Keys of which one counts instead of another: of both, the nearer one is meant, and in one file neither."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import BaseModel

from so8t.spec.fields import INSTEAD
from so8t.spec.mistakes import Mistake
from so8t.spec.profile import Profile
from so8t.spec.yamltree import Entry, Node, dotted

Path = tuple[str, ...]


def clashes(profile: Profile, models: Mapping[str, type[BaseModel]]) -> Iterator[Mistake]:
    for stage, root in profile.files.items():
        if stage in models:
            yield from _below(profile, root, models[stage], ())


def _below(profile: Profile, node: Node, model: type[BaseModel], path: Path) -> Iterator[Mistake]:
    entries = node.value if isinstance(node.value, dict) else {}
    for key, entry in entries.items():
        field = model.model_fields.get(key)
        extra = field.json_schema_extra if field else None
        other = extra.get(INSTEAD) if isinstance(extra, dict) else None
        if other in entries and entry.node.value is not None:
            yield from _clash(profile, (*path, key), entry, (*path, str(other)), entries[str(other)])
        below = field.annotation if field else None
        if isinstance(below, type) and issubclass(below, BaseModel):
            yield from _below(profile, entry.node, below, (*path, key))


def _clash(profile: Profile, path: Path, entry: Entry, other: Path, beside: Entry) -> Iterator[Mistake]:
    """`path` counts where both are given, so that it may be given over what is inherited."""
    own, its = (profile.distance(each) for each in (entry, beside))
    if own == its:
        text = f"counts instead of {other[-1]}, which line {beside.key.line} gives too: remove one of them"
        yield Mistake(entry.key, f"{dotted(path)}: {text}")
    elif own > its:
        where = f"{entry.key.file.name}:{entry.key.line}"
        text = f"{path[-1]} of {where} is inherited and counts instead: write {path[-1]}: null beside it"
        yield Mistake(beside.key, f"{dotted(other)}: {text}")
