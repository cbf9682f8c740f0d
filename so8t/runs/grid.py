"""The profiles of a sweep: one for each combination of values, small, on top of the one that is swept.  Pure."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from so8t.errors import UserError
from so8t.runs.axes import MOST, Axis
from so8t.spec import profile, yamltree
from so8t.spec.mistakes import Mark
from so8t.spec.profile import SETTINGS, Profile
from so8t.spec.scalars import scalar
from so8t.spec.yamltree import Entry, Node

_SCHEMA = "# yaml-language-server: $schema=../schema/{}.json\n"
_SHORT = 40  # characters of a value in a name

Tree = dict[str, tuple[Mark, Any]]  # by key: where it is written, and a node or a tree below it


@dataclass(frozen=True)
class Member:
    """One combination: the name of its profile, the value on each axis, and the files that say so."""

    name: str
    picks: tuple[Node, ...]
    stages: Mapping[str, Node]  # what it says of each stage, as a file of its own would
    files: Mapping[str, str]  # of its folder: the text by name

    @property
    def values(self) -> tuple[Any, ...]:
        return tuple(map(yamltree.plain, self.picks))

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(map(_written, self.picks))


def members(base: str, axes: Sequence[Axis]) -> list[Member]:
    """In the order in which the values are given; the last axis turns fastest."""
    count = math.prod(len(axis.values) for axis in axes)
    if count > MOST:
        raise UserError(f"a sweep over {count:,} profiles is too large: {MOST:,} is the most")
    return [_member(base, axes, picks) for picks in itertools.product(*(axis.values for axis in axes))]


def overlay(base: Profile, member: Member) -> Profile:
    """What reading the member's folder will give, with the places of the command line."""
    own = {
        stage: yamltree.merge(node, base.files[stage]) if stage in base.files else node
        for stage, node in member.stages.items()
    }
    folder = base.project / profile.FOLDER / member.name
    return replace(base, name=member.name, chain=(folder, *base.chain), files={**base.files, **own})


def short_names(axes: Sequence[Axis]) -> list[str]:
    """The last part of each field, or all of it where two axes end alike."""
    ends = [axis.path[-1] for axis in axes]
    return [end if ends.count(end) == 1 else axis.field for axis, end in zip(axes, ends, strict=True)]


def _member(base: str, axes: Sequence[Axis], picks: tuple[Node, ...]) -> Member:
    texts = [_written(pick) for pick in picks]
    ends = [f"{short}-{_slug(text)}" for short, text in zip(short_names(axes), texts, strict=True)]
    trees: dict[str, Tree] = {}
    for axis, pick in zip(axes, picks, strict=True):
        _put(trees.setdefault(axis.stage, {}), axis.path, axis.keys[1:], pick)
    fields = ", ".join(f"{axis.field}={text}" for axis, text in zip(axes, texts, strict=True))
    settings = f"extends: {_name(base)}\ndescription: {json.dumps(f'{base} with {fields}', ensure_ascii=False)}\n"
    files = {SETTINGS: settings, **{stage: "".join(_lines(tree)) for stage, tree in trees.items()}}
    return Member(
        name="+".join([base, *ends]),
        picks=picks,
        stages={axis.stage: _node(trees[axis.stage], axis.keys[0]) for axis in axes},
        files={f"{stem}.yaml": f"{_SCHEMA.format(stem)}{text}" for stem, text in files.items()},
    )


def _put(tree: Tree, path: Sequence[str], keys: Sequence[Mark], value: Node) -> None:
    for part, key in zip(path[:-1], keys, strict=False):
        below = tree.setdefault(part, (key, {}))[1]
        assert isinstance(below, dict)  # no axis is a part of another
        tree = below
    tree[path[-1]] = (keys[-1], value)


def _node(tree: Tree, mark: Mark) -> Node:
    return Node(
        {
            name: Entry(key, _node(below, key) if isinstance(below, dict) else below)
            for name, (key, below) in tree.items()
        },
        mark,
    )


def _lines(tree: Tree, indent: str = "") -> Iterator[str]:
    for name, (_, below) in tree.items():
        if isinstance(below, dict):
            yield f"{indent}{_name(name)}:\n"
            yield from _lines(below, f"{indent}  ")
        else:
            yield f"{indent}{_name(name)}: {_written(below)}\n"


def _name(text: str) -> str:
    """A string as YAML, in quotes where it would be something else without them."""
    plain = re.fullmatch(r"[A-Za-z_][\w+=.-]*", text, re.ASCII) and scalar(text) == text
    return text if plain else json.dumps(text, ensure_ascii=False)


def _written(node: Node) -> str:
    """A value as YAML: in its own spelling if it has one."""
    return node.written or json.dumps(yamltree.plain(node), ensure_ascii=False)


def _slug(text: str) -> str:
    """A value as a part of a file's name; one that had to be changed for that carries a few digits of its own."""
    slug = re.sub(r"[^\w.-]+", "_", text).strip("_.")[:_SHORT]
    return slug if slug == text else f"{slug}~{hashlib.blake2b(text.encode(), digest_size=2).hexdigest()}"
