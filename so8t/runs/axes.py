"""An axis of a sweep, `adapter.lora.r=16,64`: a field of a spec and its values, each with its place.  Pure.

The values are the items of a YAML list, so that what a value means is what it means in a spec file; `0..2` is 0, 1, 2.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from so8t.spec import yamltree
from so8t.spec.mistakes import Mark, Mistake, SpecText, error
from so8t.spec.yamltree import Entry, Node

COMMAND_LINE = "command line"  # how messages call the place
MOST = 1000  # values of an axis, and profiles of a sweep
_RANGE = re.compile(r"(-?\d{1,9})\.\.(-?\d{1,9})")
_HEAD = "values: ["  # in front of the values, to make YAML of them


@dataclass(frozen=True)
class Axis:
    stage: str
    path: tuple[str, ...]  # of the field in the stage's spec
    keys: tuple[Mark, ...]  # where the stage and each part of the path are written
    values: tuple[Node, ...]

    @property
    def field(self) -> str:
        return ".".join((self.stage, *self.path))

    @property
    def is_seed(self) -> bool:
        return self.path[-1] == "seed"


def read(arguments: Sequence[str]) -> tuple[Axis, ...]:
    """All of them; SpecError points at what cannot be one."""
    axes = tuple(_axis(SpecText(COMMAND_LINE, argument)) for argument in arguments)
    for number, axis in enumerate(axes):
        for other in axes[:number]:
            short, long = sorted((axis, other), key=lambda each: len(each.field))
            if f"{long.field}.".startswith(f"{short.field}."):
                text = f"{long.field} is a part of {short.field}, which is another axis"
                raise error([Mistake(axis.keys[0], text)])
    return axes


def _axis(file: SpecText) -> Axis:
    field, _, _ = file.text.partition("=")
    parts = field.split(".")
    if len(parts) < 2 or not all(parts):
        text = "an axis is a stage, a field of its spec and values, such as adapter.lora.r=16,64"
        raise error([Mistake(file.mark(0), text)])
    starts = [sum(len(part) + 1 for part in parts[:at]) for at in range(len(parts))]
    values = tuple(each for node in _values(file, len(field) + 1) for each in _spread(node))
    if not values:
        raise error([Mistake(file.mark(0), f"{field} has no value, such as {field}=1,2")])
    return Axis(parts[0], tuple(parts[1:]), tuple(map(file.mark, starts)), values)


def _values(file: SpecText, start: int) -> tuple[Node, ...]:
    tree = yamltree.read(f"{_HEAD}{file.text[start:]}]".encode("utf-8", "surrogateescape"), file.name)

    def move(mark: Mark) -> Mark:
        """From what YAML read to where it stands in the argument."""
        offset = mark.file.offset(mark) - len(_HEAD) + start if mark.line else 0
        return file.mark(min(max(offset, 0), len(file.text)))

    if tree.mistakes:
        raise error([Mistake(move(each.mark), each.text) for each in tree.mistakes])
    moved = _moved(tree.root, move).value
    assert isinstance(moved, dict)
    items = moved["values"].node.value
    if len(moved) > 1 or not isinstance(items, tuple):
        raise error([Mistake(file.mark(start), "values are written one after another with commas between them")])
    return items


def _moved(node: Node, move: Callable[[Mark], Mark]) -> Node:
    value = node.value
    if isinstance(value, dict):
        value = {key: Entry(move(entry.key), _moved(entry.node, move)) for key, entry in value.items()}
    elif isinstance(value, tuple):
        value = tuple(_moved(item, move) for item in value)
    return Node(value, move(node.mark), node.written)


def _spread(node: Node) -> Iterator[Node]:
    """A range is its numbers; anything else is itself."""
    found = _RANGE.fullmatch(node.written)
    if not found:
        yield node
        return
    first, last = int(found[1]), int(found[2])
    if not 0 <= last - first < MOST:
        text = f"a range goes up, over at most {MOST:,} numbers, such as 0..2 (got {node.written})"
        raise error([Mistake(node.mark, text)])
    yield from (Node(number, node.mark, str(number)) for number in range(first, last + 1))
