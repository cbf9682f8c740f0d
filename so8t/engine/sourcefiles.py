"""Which local files the patterns of named sources name.

    *  ?  [ab]    within one part of a path; a name that starts with a dot needs a dot in the pattern
    **            any number of folders, also none; folders that are symbolic links are not followed

A pattern is relative to the project, with forward slashes, or absolute; it may begin with ~ or python:package, and
hold environment variables.
A file's name is its path relative to the project where it lies below it, else, and for a file of a Python package,
the path as it was spelled.
"""

# ruff: noqa: PTH100, PTH112, PTH113 - names are lexical (Path.resolve follows links), and a walk is strings

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path, PurePath

from so8t.engine import spelled
from so8t.errors import StageError

Named = tuple[str, Path]


class NoFile(StageError):
    """A pattern that matches nothing; which key of a spec it stands for is for others to say."""

    def __init__(self, pattern: str, text: str, hint: str) -> None:
        super().__init__("; ".join(filter(None, [text, hint])))
        self.pattern, self.hint = pattern, hint


_SHOWN = 5  # names of neighbours in a message


def expand(
    project: Path, sources: Mapping[str, Iterable[str]], hints: Mapping[str, str] | None = None
) -> dict[str, list[Named]]:
    """Every file that a source's patterns match, once, sorted by name; a file belongs to one source.

    A source's hint is said where one of its patterns matches nothing.
    """
    found = {source: _files(project, patterns, (hints or {}).get(source, "")) for source, patterns in sources.items()}
    _check_owners(found)
    return {source: sorted(files.values()) for source, files in found.items()}


def _check_owners(found: Mapping[str, Mapping[str, Named]]) -> None:
    names = {key: name for files in found.values() for key, (name, _) in files.items()}
    if len(names) == sum(map(len, found.values())):
        return
    for key, name in sorted(names.items()):
        owners = [source for source, files in found.items() if key in files]
        if len(owners) > 1:
            raise StageError(
                f"{name} is matched by the sources {' and '.join(owners)}: narrow the paths of one of them"
            )


def _files(project: Path, patterns: Iterable[str], hint: str) -> dict[str, Named]:
    found: dict[str, Named] = {}
    for pattern in patterns:
        meant = spelled.read(pattern)
        files = [_named(project, meant, file) for file in _walk(*_start(project, meant.meant))]
        if not files:
            raise NoFile(pattern, _nothing(project, meant), hint)
        for name, path in files:
            found.setdefault(os.path.normcase(name), (name, path))
    return found


def _start(project: Path, pattern: str) -> tuple[str, tuple[str, ...]]:
    anchor = PurePath(_slashes(pattern)).anchor
    return (anchor or str(project), _parts(pattern)[1:] if anchor else _parts(pattern))


def _parts(pattern: str) -> tuple[str, ...]:
    """("specs", "**", "*.jsonl"); an anchor such as "/" or "C:/" is a part of its own."""
    slashed = _slashes(pattern)
    anchor = PurePath(slashed).anchor
    rest = posixpath.normpath(slashed[len(anchor) :] or ".")
    return ((_slashes(anchor),) if anchor else ()) + (() if rest == "." else tuple(rest.split("/")))


def _slashes(path: str) -> str:
    return path.replace("\\", "/") if os.sep == "\\" else path


def _anchored(pattern: str) -> bool:
    return bool(PurePath(_slashes(pattern)).anchor)


def _walk(folder: str, parts: tuple[str, ...]) -> Iterator[str]:
    """The files below `folder` that the parts of a pattern match, perhaps more than once."""
    if not parts:
        return
    head, rest = parts[0], parts[1:]
    if head == "**":
        yield from _walk(folder, rest or ("*",))
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from _walk(entry.path, parts)
    elif not _magic(head):
        yield from _step(os.path.join(folder, head), rest)
    else:
        for entry in _entries(folder):
            if _match_part(entry.name, head):
                yield from _step(entry.path, rest)


def _step(path: str, rest: tuple[str, ...]) -> Iterator[str]:
    if rest:
        yield from _walk(path, rest)
    elif os.path.isfile(path):
        yield path


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise StageError(f"{folder}: cannot look for source files: {error.strerror}") from error


def _match_part(name: str, part: str) -> bool:
    if not _magic(part):
        return os.path.normcase(name) == os.path.normcase(part)
    return fnmatch(name, part) and (part.startswith(".") or not name.startswith("."))


def _magic(part: str) -> bool:
    return any(char in part for char in "*?[")


def _named(project: Path, pattern: spelled.Path, path: str) -> Named:
    """Lexically: a symbolic link keeps the name that the spec gave it."""
    whole, root = os.path.abspath(path), os.path.join(os.path.abspath(project), "")
    if not _anchored(pattern.meant):
        return posixpath.normpath(_slashes(path[len(os.path.join(str(project), "")) :])), Path(whole)
    packaged = pattern.written.startswith("python:")  # a .venv in the project has the Python's version in its paths
    inside = not packaged and os.path.normcase(whole).startswith(os.path.normcase(root))
    return _slashes(whole[len(root) :]) if inside else pattern.named(_slashes(whole)), Path(whole)


def _nothing(project: Path, path: spelled.Path) -> str:
    """What was looked in: the deepest folder that exists on the way."""
    pattern = path.written + path.rest
    folder, parts = _start(project, path.meant)
    while parts and not _magic(parts[0]) and os.path.isdir(os.path.join(folder, parts[0])):
        folder, parts = os.path.join(folder, parts[0]), parts[1:]
    shown = _slashes(os.path.relpath(folder, project)) if not _anchored(path.meant) else _slashes(folder)
    if not parts:
        return f"source pattern {pattern!r} names a folder; write {shown}/*.jsonl for the files in it"
    names = [entry.name + "/" * entry.is_dir() for entry in _entries(folder)]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    holds = f"which holds {', '.join(names[:_SHOWN])}{more}" if names else "which is empty"
    where = "the project folder" if shown == "." else shown
    return f"source pattern {pattern!r} matches no file: looked in {where}, {holds}"
