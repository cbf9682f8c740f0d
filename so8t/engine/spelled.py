"""Paths as people spell them: `~`, environment variables, and `python:package/file` for a file of a Python package.

All forms work on every platform.  A path keeps its spelling wherever it is a name, so that a spec means the same on
another machine.
"""

# ruff: noqa: PTH100, PTH111 - names are lexical, and patterns are not paths

from __future__ import annotations

import importlib.util
import os
import posixpath
import re
from dataclasses import dataclass

from so8t.errors import StageError

_VARIABLE = re.compile(r"\$(\w+)|\$\{(\w+)\}|%(\w+)%")
_PACKAGE = re.compile(r"python:(\w+)(?=/)")


@dataclass(frozen=True)
class Path:
    """`written` is the beginning up to the last part that stands for something, `means` what it stands for."""

    written: str
    means: str
    rest: str

    @property
    def meant(self) -> str:
        return self.means + self.rest

    def named(self, found: str) -> str:
        """A file that was found below `meant`, in the spelling of the path."""
        start = os.path.abspath(self.means).replace(os.sep, "/").rstrip("/")
        inside = bool(self.written) and os.path.normcase(found).startswith(os.path.normcase(f"{start}/"))
        return self.written + found[len(start) :] if inside else found


def read(text: str) -> Path:
    """A path whose variables are replaced; what cannot be is a StageError."""
    slashed = text.replace("\\", "/") if os.sep == "\\" else text
    count = _parts_replaced(slashed.split("/"))
    written = "/".join(slashed.split("/")[:count])
    means = _VARIABLE.sub(lambda match: _value(match, text), _home(_package(written, text), text))
    return Path(written, means.replace("\\", "/") if os.sep == "\\" else means, slashed[len(written) :])


def expand(text: str) -> str:
    """The path alone."""
    found = read(text)
    return posixpath.normpath(found.meant) if found.written else text


def _parts_replaced(parts: list[str]) -> int:
    """So many parts, from the front, reach to the last that stands for something."""
    variables = [at for at, part in enumerate(parts, 1) if _VARIABLE.search(part)]
    starts = parts[0].startswith("~") or bool(_PACKAGE.match(f"{parts[0]}/"))
    return max([int(starts), *variables])


def _package(written: str, text: str) -> str:
    match = _PACKAGE.match(f"{written}/")
    if match is None:
        return written
    found = importlib.util.find_spec(match[1])
    if found is None or not found.submodule_search_locations:
        raise StageError(
            f"{text!r} names a file of the Python package {match[1]}, which is not installed: "
            f"pip install --no-deps {match[1].replace('_', '-')}"
        )
    return f"{next(iter(found.submodule_search_locations))}{written[match.end() :]}"


def _home(written: str, text: str) -> str:
    if not written.startswith("~"):
        return written
    found = os.path.expanduser(written)
    if found.startswith("~"):
        raise StageError(f"{text!r} names the home folder of somebody who is not known here: write the path out")
    return found


def _value(match: re.Match[str], text: str) -> str:
    name = next(filter(None, match.groups()))
    if not os.environ.get(name):
        raise StageError(f"{text!r} names the environment variable {name}, which is not set: set it, or write it out")
    return os.environ[name]
