"""YAML bytes -> a tree of values in which every value keeps its place in the file.

PyYAML's parser gives the events; scalars are read by YAML 1.2's core schema, because under 1.1 `no` is a boolean,
`1:30` is 90 and `2e-4` is a string.  The language is cut down to what a spec needs: one document, a mapping with
string keys at the top, no tags, no merge keys, and aliases that stay small when they are written out.
Reading does not recurse and the depth is bounded, so a hostile file cannot exhaust the stack.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from so8t.spec.mistakes import Mark, Mistake, SpecText, clip
from so8t.spec.scalars import Scalar, scalar

MAX_BYTES = 1 << 20
MAX_VALUES = 10_000  # counted with every alias written out
MAX_DEPTH = 64


@dataclass(frozen=True)
class Node:
    """A value and where it is written; `written` is a scalar's own spelling."""

    value: Scalar | tuple[Node, ...] | dict[str, Entry]
    mark: Mark
    written: str = ""


@dataclass(frozen=True)
class Entry:
    """One `key: value` of a mapping."""

    key: Mark
    node: Node


@dataclass(frozen=True)
class Tree:
    """A file's values, as far as they could be read, and what is wrong with it."""

    root: Node
    mistakes: tuple[Mistake, ...] = ()


def read(data: bytes, name: str) -> Tree:
    """The tree of a file's bytes; a file that cannot be read is an empty mapping with its mistakes."""
    try:
        file = _decode(data, name)
        return _Reader(file).read()
    except _Unreadable as stop:
        return Tree(Node({}, stop.mistake.mark), (stop.mistake,))


def merge(child: Node, parent: Node) -> Node:
    """The child's values over the parent's: mappings merge per key, anything else replaces.

    So does a mapping within a file that is of another `kind`, for its keys are others.
    """
    if not isinstance(child.value, dict) or not isinstance(parent.value, dict):
        return child
    merged = dict(parent.value)
    for key, entry in child.value.items():
        below = merged.get(key)
        if below is None or _kind(entry.node) not in (None, _kind(below.node)):
            merged[key] = entry
        else:
            merged[key] = Entry(entry.key, merge(entry.node, below.node))
    return Node(merged, child.mark)


def _kind(node: Node) -> Any:
    entry = node.value.get("kind") if isinstance(node.value, dict) else None
    return entry.node.value if entry else None


def plain(node: Node) -> Any:
    """The values without their places."""
    if isinstance(node.value, dict):
        return {key: plain(entry.node) for key, entry in node.value.items()}
    if isinstance(node.value, tuple):
        return [plain(item) for item in node.value]
    return node.value


def dotted(path: tuple[str | int, ...]) -> str:
    """train.layers[2].rate"""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{_word(part)}" for part in path)
    return text.removeprefix(".")


def _word(key: str) -> str:
    return clip(key) if key.isprintable() and key else repr(clip(key))


class _Unreadable(Exception):
    """The rest of the file cannot be read."""

    def __init__(self, mark: Mark, text: str) -> None:
        super().__init__(text)
        self.mistake = Mistake(mark, text)


# ---------------------------------------------------------------------------------------------------------------------
# Bytes -> text

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _decode(data: bytes, name: str) -> SpecText:
    if len(data) > MAX_BYTES:
        raise _Unreadable(Mark(SpecText(name, ""), 0, 0), f"larger than {MAX_BYTES:,} bytes, which no spec needs")
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _Unreadable(SpecText(name, "").mark(0), "UTF-16: save the file as UTF-8")
    text = data.removeprefix(b"\xef\xbb\xbf")
    try:
        file = SpecText(name, text.decode("utf-8"))
    except UnicodeDecodeError as bad:
        file = SpecText(name, text.decode("utf-8", errors="replace"))
        mark = file.mark(len(text[: bad.start].decode("utf-8")))
        byte = f"byte 0x{text[bad.start]:02x} at offset {bad.start + len(data) - len(text)}"
        raise _Unreadable(mark, f"not UTF-8 ({byte}): save the file as UTF-8") from None
    _check_visible(file)
    return file


def _check_visible(file: SpecText) -> None:
    """Control characters, and the line separators that YAML 1.1 takes for line ends but no editor shows."""
    found = _FORBIDDEN.search(file.text)
    if found:
        code = f"U+{ord(found[0]):04X}"
        text = f'the invisible character {code} must not stand in a spec: write its escape in "double quotes"'
        raise _Unreadable(file.mark(found.start()), text)


# ---------------------------------------------------------------------------------------------------------------------
# Text -> values


@dataclass(frozen=True)
class _Anchor:
    """What an alias stands for: nothing where it was refused, and how much it adds each time."""

    node: Node | None
    values: int
    height: int


@dataclass
class _Open:
    """A mapping or list that is being read."""

    mark: Mark
    anchor: str | None
    before: int  # values counted before it
    entries: dict[str, Entry] | None  # of a mapping
    height: int = 1  # levels in it, with those of its aliases
    items: list[Node] = field(default_factory=list)  # of a list
    key: Node | None = None  # the key whose value comes next
    awaits_value: bool = False
    refused: bool = False

    def close(self) -> Node:
        return Node(tuple(self.items) if self.entries is None else self.entries, self.mark)


class _Reader:
    def __init__(self, file: SpecText) -> None:
        self.file = file
        self.mistakes: list[Mistake] = []
        self.open: list[_Open] = []
        self.anchors: dict[str, _Anchor] = {}
        self.root: Node | None = None
        self.documents = 0
        self.values = 0
        self.aliases = 0

    def read(self) -> Tree:
        for event in self._events():
            mark = self.file.mark(event.start_mark.index if event.start_mark else 0)
            if isinstance(event, yaml.DocumentStartEvent):
                self._document(event, mark)
            elif isinstance(event, yaml.ScalarEvent):
                self._scalar(event, mark)
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                self._begin(event, mark)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                self._end()
            elif isinstance(event, yaml.AliasEvent):
                self._alias(event, mark)
        return Tree(self._top(), tuple(self.mistakes))

    def _events(self) -> Iterator[yaml.Event]:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            yield from yaml.parse(self.file.text, Loader=loader)
        except yaml.MarkedYAMLError as bad:
            raise self._syntax(bad) from None
        except (yaml.YAMLError, ValueError, OverflowError) as bad:  # an escape beyond Unicode, without libyaml
            raise _Unreadable(self.file.mark(0), f"not YAML: {bad}") from None

    def _syntax(self, bad: yaml.MarkedYAMLError) -> _Unreadable:
        offset = bad.problem_mark.index if bad.problem_mark else 0
        if self.file.text[offset : offset + 1] == "\t":
            return _Unreadable(self.file.mark(offset), "a tab cannot indent YAML: use spaces")
        if offset >= len(self.file.text.rstrip()):  # nothing to show at the end of the file: go back
            began = bad.context_mark.index if bad.context_mark else offset
            offset = min(began, len(self.file.text.rstrip()))
        mark = self.file.mark(offset)
        context = f" {bad.context}" if bad.context else ""
        return _Unreadable(mark, f"not YAML: {bad.problem}{context}")

    def _top(self) -> Node:
        root = self.root
        if root is None or (root.value is None and not root.written):
            return Node({}, self.file.mark(0))
        if not isinstance(root.value, dict):
            self.mistakes.append(Mistake(root.mark, f"the top of a spec must be a mapping (got {got(root)})"))
            return Node({}, root.mark)
        return root

    def _document(self, event: yaml.DocumentStartEvent, mark: Mark) -> None:
        self.documents += 1
        if self.documents > 1:
            raise _Unreadable(mark, "a second document: a spec is one YAML document")
        version = event.version
        if version not in (None, (1, 2)):
            self.mistakes.append(Mistake(mark, "specs are YAML 1.2: remove the %YAML directive"))

    def _scalar(self, event: yaml.ScalarEvent, mark: Mark) -> None:
        self._count(mark)
        node: Node | None = None
        if not self._is_tagged(event.tag, mark):
            node = self._value(event, mark)
        if event.anchor:
            self.anchors[event.anchor] = _Anchor(node, 1, 0)
        self._place(node, 0)

    def _value(self, event: yaml.ScalarEvent, mark: Mark) -> Node | None:
        if not event.implicit[0]:  # quoted, or a block
            if any("\ud800" <= each <= "\udfff" or each == "\0" for each in event.value):
                self._report(mark, "must not hold NUL or half of a surrogate pair")
                return None
            return Node(event.value, mark)
        try:
            return Node(scalar(event.value), mark, event.value)
        except ValueError:
            self._report(mark, f"a number of {len(event.value)} characters is too long")
            return None

    def _begin(self, event: yaml.CollectionStartEvent, mark: Mark) -> None:
        self._count(mark)
        self._deepen(mark, 1)
        entries: dict[str, Entry] | None = {} if isinstance(event, yaml.MappingStartEvent) else None
        refused = self._is_tagged(event.tag, mark)
        self.open.append(_Open(mark, event.anchor, self.values - 1, entries, refused=refused))

    def _end(self) -> None:
        done = self.open.pop()
        node = None if done.refused else done.close()
        if done.anchor:
            self.anchors[done.anchor] = _Anchor(node, self.values - done.before, done.height)
        self._place(node, done.height)

    def _alias(self, event: yaml.AliasEvent, mark: Mark) -> None:
        name = str(event.anchor)
        self.aliases += 1
        if any(each.anchor == name for each in self.open):
            raise _Unreadable(mark, f"*{clip(name)} stands inside &{clip(name)}: an anchor must not hold itself")
        if name not in self.anchors:
            self._report(mark, f"*{clip(name)}: the anchor &{clip(name)} is not defined above")
        found = self.anchors.get(name, _Anchor(None, 1, 0))
        self._count(mark, found.values)
        self._deepen(mark, found.height)
        self._place(found.node and replace(found.node, mark=mark), found.height)

    def _deepen(self, mark: Mark, levels: int) -> None:
        if len(self.open) + levels > MAX_DEPTH:
            raise _Unreadable(mark, f"nested deeper than {MAX_DEPTH} levels")

    def _count(self, mark: Mark, values: int = 1) -> None:
        self.values += values
        if self.values > MAX_VALUES:
            cause = "anchors that explode: " if self.aliases else ""
            written_out = " when aliases are written out" if self.aliases else ""
            raise _Unreadable(mark, f"{cause}more than {MAX_VALUES:,} values{written_out}")

    def _place(self, node: Node | None, height: int) -> None:
        """Put a finished value where it belongs; None is a refused one."""
        if not self.open:
            self.root = node
            return
        top = self.open[-1]
        top.height = max(top.height, height + 1)
        if top.entries is None:
            top.items.extend([node] if node else [])
        elif not top.awaits_value:
            top.key, top.awaits_value = self._key(node, top.entries), True
        else:
            if top.key and node:
                top.entries[str(top.key.value)] = Entry(top.key.mark, node)
            top.key, top.awaits_value = None, False

    def _key(self, node: Node | None, entries: dict[str, Entry]) -> Node | None:
        """The key if it can be one; the value of a refused key is read all the same, but goes nowhere."""
        if node is None:
            return None
        if node.written == "<<":
            self._report(node.mark, "merge keys are not part of YAML 1.2: share values with extends")
        elif not isinstance(node.value, str):
            quote = f': write "{node.written}"' if node.written else ""
            self._report(node.mark, f"a key must be a string (got {got(node)}){quote}")
        elif node.value in entries:
            first = entries[node.value].key.line
            self._report(node.mark, f"{self._path(node.value)}: duplicate key, first given in line {first}")
        else:
            return node
        return None

    def _path(self, key: str) -> str:
        opened = [str(each.key.value) if each.key else len(each.items) for each in self.open[:-1]]
        return dotted((*opened, key))

    def _is_tagged(self, tag: str | None, mark: Mark) -> bool:
        if tag is None:
            return False
        short = tag.replace("tag:yaml.org,2002:", "!!", 1)
        self._report(mark, f"tags are refused (got {clip(short)}): a spec holds plain values")
        return True

    def _report(self, mark: Mark, text: str) -> None:
        self.mistakes.append(Mistake(mark, text))


def got(node: Node) -> str:
    """How a message calls the value that it got: as it was written."""
    if isinstance(node.value, dict):
        return "a mapping"
    if isinstance(node.value, tuple):
        return "a list"
    if isinstance(node.value, str):
        return repr(clip(node.value))
    return clip(node.written) or "null"
