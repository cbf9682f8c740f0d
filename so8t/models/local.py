"""A checkpoint that lies in a local folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import Field

from so8t.engine.stage import Source
from so8t.spec.fields import SpecModel


class Local(SpecModel):
    """A folder with a checkpoint."""

    kind: Literal["local"]
    """The source's kind."""
    path: str = Field(min_length=1)
    """The folder, relative to the project or absolute."""
    remote_code: bool = False
    """Whether Python code from the folder may run, here and in later stages."""


def patterns(source: Local) -> list[str]:
    return [f"{source.path.rstrip('/')}/*"]


def files(sources: Iterable[Source]) -> dict[str, Path]:
    return {source.path.name: source.path for source in sources}
