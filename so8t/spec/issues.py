"""pydantic's issues -> mistakes at the places in the files that caused them.

An issue's `loc` mixes keys and list positions with the names of union branches; walking the model's annotations beside
the tree of values tells them apart, and knows which keys would have been right.
"""

from __future__ import annotations

import re
import types
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel

from so8t.spec.fields import At
from so8t.spec.mistakes import Mark, Mistake, did_you_mean
from so8t.spec.sentences import Issue, say
from so8t.spec.yamltree import Node, dotted

_MISSING = ("missing", "union_tag_not_found")
_OWN = ("value_error", "assertion_error")

Path = tuple[str | int, ...]


@dataclass
class _Place:
    """Where an issue is: the value, the mark of its key, and what the model says about it."""

    node: Node | None  # None: not written
    hints: tuple[Any, ...]
    path: Path = ()
    key: Mark | None = None  # of the value, where it has one
    holder: Mark | None = None  # of the nearest written mapping or list around a value that is not written
    known: Mapping[str, str] = field(default_factory=dict)  # keys that its mapping may have, and what they say
    unions: list[tuple[Path, str]] = field(default_factory=list)  # where branches were tried, and the branch
    is_key: bool = False


@dataclass(frozen=True)
class Found:
    """A mistake, and what else its reader must know."""

    mistake: Mistake
    missing_at_top: bool  # it is about the file as a whole
    may_follow: bool  # it would go away with a value that stands in an unreadable part of the file


def mistakes(issues: Iterable[Issue], root: Node, model: type[BaseModel]) -> list[Found]:
    placed = [(_locate(issue["loc"], root, model), issue) for issue in issues]
    return [_found(place, together) for place, together in _by_value(_chosen_branches(placed))]


def _found(place: _Place, issues: Sequence[Issue]) -> Found:
    kind = issues[0]["type"]
    missing = kind in _MISSING
    of_a_mapping = kind in _OWN and (place.node is None or isinstance(place.node.value, dict))
    return Found(_mistake(place, issues), missing and len(place.path) == 1, missing or of_a_mapping)


def _mistake(place: _Place, issues: Sequence[Issue]) -> Mistake:
    kind = issues[0]["type"]
    cause = issues[0].get("ctx", {}).get("error")
    if isinstance(cause, At) and (named := _of_keys(place, cause)):
        return named
    path = place.path
    if kind in _MISSING:
        path = (*path, *_discriminator(issues[0], place.node)) if kind == "union_tag_not_found" else path
        text = "required, but missing"
    elif kind == "extra_forbidden":
        text = f"unknown key{_meant(str(path[-1]), place.known)}"
    else:
        if kind == "union_tag_invalid":
            place = _tag(place, issues[0])
            path = place.path
        key = Node(str(path[-1]), place.key) if place.is_key and place.key else place.node
        text = say(issues, key)
    return Mistake(_mark(place, kind), f"{dotted(path)}: {text}" if path else text)


def _of_keys(place: _Place, cause: At) -> Mistake | None:
    """At the first of its keys that the profile writes itself, or inherits; the others with their places."""
    entries = place.node.value if place.node and isinstance(place.node.value, dict) else {}
    written = [key for key in cause.keys if key in entries]
    if not written or place.node is None:
        return None
    own = place.node.mark.file
    first = min(written, key=lambda key: entries[key].key.file is not own)
    others = [f"{key}: {_place_of(entries[key].key, entries[first].key)}" for key in written if key != first]
    beside = f" ({', '.join(others)})" if others else ""
    return Mistake(entries[first].node.mark, f"{dotted((*place.path, first))}: {cause}{beside}")


def _place_of(mark: Mark, seen_from: Mark) -> str:
    return f"line {mark.line}" if mark.file.name == seen_from.file.name else f"{mark.file.name}:{mark.line}"


def _meant(written: str, known: Mapping[str, str]) -> str:
    """The key with the nearest name, or the one whose short description says it; else all that there are."""
    if near := did_you_mean(written, known):
        return near
    named = [key for key, told in known.items() if written.casefold() in re.findall(r"\w+", told.casefold())]
    if named:
        key = min(named, key=lambda each: len(known[each]))
        return f", did you mean {key}? ({known[key].rstrip('.')})"
    return f"; the keys here are {', '.join(known)}" if known else ""


def _mark(place: _Place, kind: str) -> Mark:
    """Under the value, but under the key where the key is wrong or a mapping or list as a whole is meant."""
    node = place.node
    if node is None:
        assert place.holder is not None  # the root is always written
        return place.holder
    whole = (kind in _OWN or kind in _MISSING) and isinstance(node.value, (dict, tuple))
    if place.key and (whole or place.is_key or kind == "extra_forbidden"):
        return place.key
    return node.mark


def _tag(place: _Place, issue: Issue) -> _Place:
    """The value that names the branch of a union, or the mapping if no value does."""
    value = place.node.value if place.node else None
    for name in _discriminator(issue, place.node):
        entry = value.get(str(name)) if isinstance(value, dict) else None
        return _Place(entry.node, (), (*place.path, name), entry.key) if entry else place
    return place


def _discriminator(issue: Issue, node: Node | None) -> Path:
    """The key that names the branch: as the model says, or where a function decides, the key with the refused tag."""
    context = issue["ctx"]
    quoted = str(context["discriminator"])
    if quoted.startswith("'"):
        return (quoted.strip("'"),)
    entries = node.value if node and isinstance(node.value, dict) else {}
    return tuple(name for name, entry in entries.items() if entry.node.value == context.get("tag"))[:1]


# ---------------------------------------------------------------------------------------------------------------------
# Where


def _locate(loc: Sequence[str | int], root: Node, model: type[BaseModel]) -> _Place:
    place = _Place(root, (model,))
    for part in loc:
        if part == "[key]":
            place.is_key = True
        elif isinstance(part, str) and any(len(_branches(_bare(hint))) > 1 for hint in place.hints):
            place.unions.append((place.path, part))
            place.hints = _narrow(place.hints, part)
        else:
            _descend(place, part)
    return place


def _descend(place: _Place, part: str | int) -> None:
    node, key = place.node, None
    value = node.value if node else None
    child: Node | None = None
    if isinstance(value, dict) and part in value:
        child, key = value[str(part)].node, value[str(part)].key
    elif isinstance(value, tuple) and isinstance(part, int) and part < len(value):
        child = value[part]
    if node is not None and child is None:
        place.holder = place.key or node.mark
    place.known = {name: told for hint in place.hints for name, told in _described(hint).items()}
    place.hints = tuple(step for hint in place.hints for step in _steps(hint, part))
    place.node, place.key, place.path = child, key, (*place.path, part)


def _fields(hint: Any) -> dict[str, Any]:
    """The keys of a model, and the annotations of their values."""
    hint = _bare(hint)
    if not (isinstance(hint, type) and issubclass(hint, BaseModel)):
        return {}
    return {each.alias or name: each.annotation for name, each in hint.model_fields.items()}


def _described(hint: Any) -> dict[str, str]:
    """The keys of a model or of a union's models, and what they say of themselves."""
    hint = _bare(hint)
    if branches := _branches(hint):
        return {name: told for branch in branches for name, told in _described(branch).items()}
    told = {each.alias or name: each.description or "" for name, each in getattr(hint, "model_fields", {}).items()}
    return {name: text.partition("\n")[0] for name, text in told.items()}


def _steps(hint: Any, part: str | int) -> tuple[Any, ...]:
    """The annotation of one key's or position's value; a union's branches together."""
    hint = _bare(hint)
    branches = _branches(hint)
    if len(branches) > 1:
        return tuple(step for branch in branches for step in _steps(branch, part))
    fields = _fields(hint)
    if fields:
        return (fields[part],) if part in fields else ()
    arguments = tuple(each for each in get_args(hint) if each is not Ellipsis)
    origin = get_origin(hint)
    if origin is tuple and len(arguments) > 1:
        return arguments[part : part + 1] if isinstance(part, int) else ()
    if origin in (list, tuple, set, frozenset, Sequence, AbstractSet):
        return arguments[:1]
    return arguments[1:2]  # of a mapping


def _bare(hint: Any) -> Any:
    """Without Annotated[...] and `| None`, which leave no trace in a loc."""
    while get_origin(hint) is Annotated or len(_branches(hint)) == 1:
        hint = get_args(hint)[0] if get_origin(hint) is Annotated else _branches(hint)[0]
    return hint


def _branches(hint: Any) -> tuple[Any, ...]:
    if get_origin(hint) is Annotated:
        return _branches(get_args(hint)[0])
    if get_origin(hint) not in (Union, types.UnionType):
        return ()
    return tuple(branch for branch in get_args(hint) if branch is not type(None))


def _narrow(hints: tuple[Any, ...], tag: str) -> tuple[Any, ...]:
    """The branches that a tag names; all of them if it names none."""
    branches = tuple(branch for hint in hints for branch in _branches(_bare(hint)))
    return tuple(branch for branch in branches if tag in _names(branch)) or branches


def _names(branch: Any) -> set[str]:
    branch = _bare(branch)
    names = {getattr(get_origin(branch) or branch, "__name__", "")}
    for annotation in _fields(branch).values():
        if get_origin(_bare(annotation)) is Literal:
            names.update(map(str, get_args(_bare(annotation))))
    return names


# ---------------------------------------------------------------------------------------------------------------------
# Unions: every branch complains, and one complaint is meant


def _chosen_branches(placed: list[tuple[_Place, Issue]]) -> list[tuple[_Place, Issue]]:
    """Without the branches of a union that the value was not meant for: it fits another one's shape."""
    tried: dict[Path, dict[str, list[_Place]]] = {}
    for place, _ in placed:
        for path, branch in place.unions[:1]:
            tried.setdefault(path, {}).setdefault(branch, []).append(place)
    dropped: set[int] = set()
    for path, branches in tried.items():
        deep = [each for each in branches.values() if all(len(place.path) > len(path) for place in each)]
        if deep:
            best = min(deep, key=len)
            dropped.update(id(place) for each in branches.values() if each is not best for place in each)
    return [(place, issue) for place, issue in placed if id(place) not in dropped]


def _by_value(placed: list[tuple[_Place, Issue]]) -> list[tuple[_Place, list[Issue]]]:
    """Issues about one value together, if a union's branches said them; all others one by one."""
    together: dict[Any, tuple[_Place, list[Issue]]] = {}
    for number, (place, issue) in enumerate(placed):
        key = (place.path, place.is_key) if place.unions else number
        together.setdefault(key, (place, []))[1].append(issue)
    return list(together.values())
