"""The values of a spec, each with the place that it is written at and what the parent profile says instead."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from so8t.report.facts import Value
from so8t.spec import yamltree
from so8t.spec.yamltree import Node

_ABSENT = object()


def values(spec: Mapping[str, Any], tree: Node | None, parent: Node | None) -> tuple[Value, ...]:
    """One for each leaf; a list of plain values is a leaf."""
    return tuple(_value(path, leaf, tree, parent) for path, leaf in _leaves(spec, ()))


def _leaves(value: Any, path: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, Mapping) and value:
        for key, below in value.items():
            yield from _leaves(below, (*path, key))
    elif isinstance(value, (list, tuple)) and any(isinstance(each, (Mapping, list, tuple)) for each in value):
        for at, below in enumerate(value):
            yield from _leaves(below, (*path, at))
    else:
        yield path, value


def _value(path: tuple[str | int, ...], leaf: Any, tree: Node | None, parent: Node | None) -> Value:
    node, above = _node(tree, path), _node(parent, path)
    place = f"{node.mark.file.name}:{node.mark.line}" if node and node.mark.line else ""
    said = _ABSENT if above is None else yamltree.plain(above)
    differs = parent is not None and node is not None and said != yamltree.plain(node)
    return Value(yamltree.dotted(path), leaf, place, None if said is _ABSENT else said, differs)


def _node(tree: Node | None, path: tuple[str | int, ...]) -> Node | None:
    """Where a value is written, if it is; a value that the model filled in is not."""
    for part in path:
        if tree is None:
            return None
        if isinstance(tree.value, dict) and part in tree.value:
            tree = tree.value[str(part)].node
        elif isinstance(tree.value, tuple) and isinstance(part, int) and part < len(tree.value):
            tree = tree.value[part]
        else:
            return None
    return tree
