"""A checkpoint that lies in a local folder."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from so8t.engine import spelled
from so8t.engine.stage import Source
from so8t.models import folder, naming
from so8t.spec.fields import SpecModel


def _folder(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    if repo := naming.repository(value):
        raise ValueError(f"must be a folder, and {value} is an address: write {naming.as_hub(repo)}")
    if value.endswith(".gguf"):
        raise ValueError(f"must be a folder, and {value} is a GGUF: write {{kind: gguf, path: {value}}}")
    if value.endswith(".safetensors"):
        raise ValueError(f"must be the folder of the checkpoint, and {value} is one of its files")
    return value


class Local(SpecModel):
    """A folder with a checkpoint."""

    kind: Literal["local"]
    """The source's kind."""
    path: Annotated[str, BeforeValidator(_folder)] = Field(min_length=1)
    """The folder, relative to the project or absolute; it may begin with ~ and hold environment variables."""
    name: str = ""
    """How others find this base, a folder or a repository of the hub: adapter_config.json names it to them."""
    remote_code: bool = False
    """Whether Python code from the folder may run, here and in later stages."""


def patterns(source: Local) -> list[str]:
    return [f"{source.path.rstrip('/')}/*"]


def hint(source: Local) -> str:
    """What to do if there is no such folder."""
    if re.fullmatch(naming.REPOSITORY, source.path):
        return f"if {source.path} is a repository of the hub, write {naming.as_hub(source.path)}"
    return ""


def check(source: Local) -> None:
    """Look at the folder before a stage that takes long; one that is not there is for the engine to name."""
    place = Path(spelled.expand(source.path))
    if place.is_dir() and (found := {path.name: path for path in sorted(place.iterdir()) if path.is_file()}):
        folder.check(found, source.path)


def files(sources: Iterable[Source]) -> dict[str, Path]:
    return {source.path.name: source.path for source in sources}
