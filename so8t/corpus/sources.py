"""The kinds of sources that a spec may declare, one line each, and what holds for all that it declares."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, get_args

from pydantic import Discriminator, Tag

from so8t.corpus.declared import Declared
from so8t.corpus.files import LocalFiles
from so8t.corpus.hub import DatasetsSource
from so8t.corpus.webpages import WebPages
from so8t.engine.stage import Source
from so8t.errors import StageError

_LOCAL = get_args(LocalFiles.model_fields["kind"].annotation)


def _branch(value: Any) -> Any:
    kind = value.get("kind", "files") if isinstance(value, dict) else getattr(value, "kind", "files")
    return "files" if kind in _LOCAL else kind


Declaration = Annotated[
    Annotated[LocalFiles, Tag("files")]  # the one that needs no `kind`
    | Annotated[DatasetsSource, Tag("datasets")]
    | Annotated[WebPages, Tag("web")],
    Discriminator(_branch),
]


def patterns(sources: Iterable[Declared]) -> dict[str, list[str]]:
    """Source name -> patterns of its local files, for the engine to expand and digest."""
    return {source.name: source.patterns() for source in sources}


def check_named_once(files: Mapping[str, Iterable[Source]]) -> None:
    """A file that is read under two names would be counted twice."""
    seen: dict[str, str] = {}
    for file in (file for found in files.values() for file in found):
        real = os.path.normcase(os.path.realpath(file.path))
        if real in seen:
            raise StageError(f"{seen[real]} and {file.name} are the same file: name it once")
        seen[real] = file.name
