"""The kind `datasets`, which Hugging Face `datasets` reads: streamed, from a pinned commit or from local files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import Field, model_validator

from so8t.corpus.declared import Declared, Paths
from so8t.corpus.rows import Row, Rows
from so8t.engine.stage import Source
from so8t.errors import MissingExtra, StageError
from so8t.spec.fields import execution


class DatasetsSource(Declared):
    """A dataset that Hugging Face `datasets` reads: a pinned one of the hub, or local files in one of its formats."""

    kind: Literal["datasets"]
    repo: str | None = Field(default=None, pattern=r"^[\w.-]+(/[\w.-]+)?$")
    """A dataset of the hub, such as `owner/name`."""
    revision: str | None = Field(default=None, pattern=r"^[0-9a-f]{40}$")
    """The commit of the hub's repository, all 40 digits: a branch or a tag may move."""
    config: str | None = None
    """The dataset's configuration, which the hub also calls subset."""
    from_split: str = "train"
    """The dataset's own split to read."""
    format: Literal["parquet", "json", "csv", "arrow"] | None = None
    """The format of local files, instead of `repo`.  For JSONL the kind `jsonl` checks more."""
    paths: Paths = Field(default=[])
    """Local files, as in the kind `jsonl`."""
    cache_dir: str | None = execution(None)
    """Where `datasets` keeps what it downloads; the stage's scratch folder if not given."""

    @model_validator(mode="after")
    def _hub_or_local(self) -> DatasetsSource:
        if (self.repo is None) == (self.format is None):
            raise ValueError("give either repo (of the hub) or format (of local files)")
        if self.repo is not None and self.revision is None:
            raise ValueError("repo needs revision, the 40 digits of a commit: a branch or a tag may move")
        if self.repo is not None and self.paths:
            raise ValueError("paths are for local files: leave them out with repo")
        if self.format is not None and not self.paths:
            raise ValueError("format needs paths, the local files to read")
        if self.format is not None and (self.revision or self.config or self.from_split != "train"):
            raise ValueError("revision, config and from_split are for repo: leave them out with format")
        return self

    def patterns(self) -> list[str]:
        return self.paths

    def open(self, files: Sequence[Source], scratch: Path, max_line: int) -> Rows:
        places = [(where(self), None)] if self.repo else [(file.name, file.path) for file in files]
        found = (Row(name, *row) for name, path in places for row in rows(self, path, scratch))
        return Rows(tuple(name for name, _ in places), found, lambda row: row, raw, counts_beyond=self.repo is None)


def where(source: DatasetsSource) -> str:
    """What provenance calls the file of a row of the hub."""
    config = f"/{source.config}" if source.config else ""
    return f"hf://datasets/{source.repo}@{source.revision}{config}/{source.from_split}"


def rows(source: DatasetsSource, path: Path | None, scratch: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, row) from 1; `path` is the local file, None for the hub."""
    try:
        import datasets
    except ImportError:
        raise MissingExtra("datasets", "collect", f"source {source.name}") from None
    cache = source.cache_dir or str(scratch / "datasets")
    try:
        if path is None:
            stream = datasets.load_dataset(
                source.repo,
                source.config,
                split=source.from_split,
                revision=source.revision,
                streaming=True,
                cache_dir=cache,
            )
        else:
            stream = datasets.load_dataset(
                source.format, data_files=str(path), split="train", streaming=True, cache_dir=cache
            )
        yield from enumerate(stream, 1)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise StageError(f"source {source.name}: cannot read {path or where(source)}: {error}") from error


def raw(row: dict[str, Any]) -> dict[str, str]:
    """A row as it can stand in a JSON record; what JSON cannot hold is named by its type."""
    data = orjson.dumps(row, default=lambda value: f"<{type(value).__name__}>", option=orjson.OPT_NON_STR_KEYS)
    return {"raw": data.decode("utf-8")}
