"""Keys that have another name now: the old one is read for one release, with a warning, and can be rewritten.

A table of renames only grows, in the order in which they happened; it says nothing about values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import yaml

from so8t.spec.mistakes import Mark, Mistake
from so8t.spec.yamltree import Entry, Node, Tree, dotted

Path = tuple[str | int, ...]


@dataclass(frozen=True)
class Rename:
    """In `file`.yaml the key at `old`, such as `bounds.*.divergence`, is called `new`; * is any key, or any item."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Moved:
    """The key `old` of `file`.yaml stands in another file now, as `new` says it: `chat_format.pre_tokenizer`.

    It is not read from the old place, for two files may have had it, and with two values.
    """

    file: str
    old: str
    new: str

    def mistake(self, key: Mark) -> Mistake:
        stage, _, name = self.new.partition(".")
        return Mistake(key, f"{self.old} is {name} of {stage}.yaml now: write it there, and remove it here")


Table = Sequence[Rename | Moved]


@dataclass(frozen=True)
class Outdated:
    """An old key in a file."""

    path: Path
    key: Mark
    new: str

    @property
    def warning(self) -> Mistake:
        text = f"{dotted(self.path)} is called {self.new} now: doit schema --upgrade rewrites it"
        return Mistake(self.key, f"{text}; the next release reads the new name alone")


Found = dict[tuple[int, int], Outdated]  # by line and column: an anchor's keys are met once for each alias


def read(tree: Tree, stem: str, table: Table) -> tuple[Tree, tuple[Outdated, ...]]:
    """The tree under today's names, and the old ones that it had; both names at one place are a mistake."""
    found: Found = {}
    mistakes: list[Mistake] = []
    root = tree.root
    for rename in table:
        if rename.file != stem:
            continue
        if isinstance(rename, Moved):
            root = _without(root, rename, mistakes)
        else:
            root = _renamed(root, (), tuple(rename.old.split(".")), rename.new, found, mistakes)
    return Tree(root, (*tree.mistakes, *mistakes)), tuple(found[place] for place in sorted(found))


def _without(root: Node, moved: Moved, mistakes: list[Mistake]) -> Node:
    """A file's keys without one that moved, which is a mistake."""
    if not isinstance(root.value, dict) or moved.old not in root.value:
        return root
    mistakes.append(moved.mistake(root.value[moved.old].key))
    return replace(root, value={key: entry for key, entry in root.value.items() if key != moved.old})


def _renamed(node: Node, path: Path, old: tuple[str, ...], new: str, found: Found, mistakes: list[Mistake]) -> Node:
    if isinstance(node.value, tuple) and old[0] == "*" and len(old) > 1:
        items = (_renamed(each, (*path, at), old[1:], new, found, mistakes) for at, each in enumerate(node.value))
        return replace(node, value=tuple(items))
    if not isinstance(node.value, dict):
        return node
    entries: dict[str, Entry] = {}
    for key, entry in node.value.items():
        if old[0] not in ("*", key):
            entries[key] = entry
        elif len(old) > 1:
            below = _renamed(entry.node, (*path, key), old[1:], new, found, mistakes)
            entries[key] = replace(entry, node=below)
        elif new in node.value:
            line = node.value[new].key.line
            text = f"{dotted((*path, key))} is the old name of {new}, which line {line} gives too: remove one of them"
            mistakes.append(Mistake(entry.key, text))
        else:
            place = entry.key.line, entry.key.column
            was = found[place].path if place in found else (*path, key)  # a key that was renamed twice
            found[place] = Outdated(was, entry.key, new)
            entries[new] = entry
    return replace(node, value=entries)


def rewrite(text: str, outdated: Iterable[Outdated]) -> str:
    """The file's text with today's names; everything else stays as it is, character for character."""
    for start, end, new in sorted(_spans(text, outdated), reverse=True):
        text = text[:start] + new + text[end:]
    return text


def _spans(text: str, outdated: Iterable[Outdated]) -> Iterator[tuple[int, int, str]]:
    """Where each old key begins and ends, and what stands there now, in the old key's quotes."""
    for each in outdated:
        start = each.key.file.offset(each.key)
        token = next(token for token in yaml.scan(text[start:]) if isinstance(token, yaml.ScalarToken))
        quote = text[start] if text[start] in "\"'" else ""
        yield start, start + token.end_mark.index, f"{quote}{each.new}{quote}"
