"""What base_model found out about its checkpoint, for the stages behind it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

FILE = "base.json"


def write(folder: Path, facts: Mapping[str, Any]) -> None:
    (folder / FILE).write_bytes(orjson.dumps(facts, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def read(base_model: Path) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads((base_model / FILE).read_bytes())
    return found


def remote_code(base_model: Path) -> bool:
    """Whether the checkpoint brings code of its own that the spec allows."""
    return bool(read(base_model)["remote_code"])
