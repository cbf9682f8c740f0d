"""What base_model found out about its checkpoint, for the stages behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

FILE = "base.json"


@dataclass(frozen=True)
class Called:
    """How others find the base: a folder or a repository of the hub; one that was made here has no such name."""

    name: str = "base_model"
    revision: str | None = None


UNNAMED = Called()


def write(folder: Path, facts: Mapping[str, Any]) -> None:
    (folder / FILE).write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def read(base_model: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((base_model / FILE).read_bytes())
    return found


def remote_code(base_model: Path) -> bool:
    """Whether the checkpoint brings code of its own that the spec allows."""
    return bool(read(base_model)["remote_code"])


def called(base_model: Path) -> Called:
    found = read(base_model)
    return Called(found["name"], found.get("revision")) if found.get("name") else UNNAMED


def added(base_model: Path) -> tuple[int, ...]:
    """The numbers of the tokens that the base was given here."""
    return tuple(read(base_model).get("added", {}).values())
