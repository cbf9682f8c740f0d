"""A project's table of contents: its stages, and what each file of a profile may hold."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from so8t.errors import StageError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from so8t.engine.stage import Stage
    from so8t.spec.renames import Table


@dataclass(frozen=True)
class Contents:
    stages: Mapping[str, Stage]
    models: Mapping[str, type[BaseModel]]  # by the name of the file in a profile's folder
    renamed: Table = ()  # keys of these files that had other names


def read(project: Path) -> Contents:
    """Import the project's `stages`; its `SETTINGS` hold what a profile sets and no stage reads: the server."""
    if not (project / "stages" / "__init__.py").is_file():
        raise StageError("stages/__init__.py does not exist here: run this in the folder of a so8t project's dodo.py")
    if str(project) not in sys.path:
        sys.path.insert(0, str(project))  # doit does that only for commands that load dodo.py
    table = importlib.import_module("stages")
    if not hasattr(table, "STAGES"):
        raise StageError("stages/__init__.py has no STAGES: run this in the folder of a so8t project's dodo.py")
    stages = {name: stage.spec for name, stage in table.STAGES.items()}
    return Contents(table.STAGES, {**stages, **getattr(table, "SETTINGS", {})}, getattr(table, "RENAMED", ()))


def describe(stage: Stage) -> str:
    """The first line of its module, without its name."""
    text = (sys.modules[stage.build.__module__].__doc__ or "").strip().split("\n")[0]
    return text.removeprefix(f"{stage.name}: ").rstrip(".")
