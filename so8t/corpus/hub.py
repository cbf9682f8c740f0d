"""The kind `datasets`: a dataset of the Hugging Face hub at a pinned commit, streamed by its own library."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from so8t.corpus import tables
from so8t.corpus.declared import Declared
from so8t.corpus.rows import Row, Rows
from so8t.engine.stage import Source
from so8t.errors import MissingExtra, StageError
from so8t.spec.fields import execution


class DatasetsSource(Declared):
    """A dataset of the hub, pinned; files of this machine need no kind."""

    kind: Literal["datasets"]
    repo: str = Field(pattern=r"^[\w.-]+(/[\w.-]+)?$")
    """A dataset of the hub, such as `owner/name`."""
    revision: str = Field(pattern=r"^[0-9a-f]{40}$")
    """The commit of the hub's repository, all 40 digits: a branch or a tag may move."""
    config: str | None = None
    """The dataset's configuration, which the hub also calls subset."""
    from_split: str = "train"
    """The dataset's own split to read."""
    cache_dir: str | None = execution(None)
    """Where `datasets` keeps what it downloads; the stage's scratch folder if not given."""

    @model_validator(mode="before")
    @classmethod
    def _not_of_this_machine(cls, value: Any) -> Any:
        if isinstance(value, dict) and "paths" in value:
            raise ValueError(
                "paths are files of this machine, which need no kind: leave out kind (and format: parquet)"
            )
        return value

    def open(self, files: Sequence[Source], scratch: Path, max_line: int) -> Rows:
        name = where(self)
        found = (Row(name, number, row, "record") for number, row in rows(self, scratch))
        return Rows((name,), found, tables.parse, tables.raw, counts_beyond=False)


def where(source: DatasetsSource) -> str:
    """What provenance calls the file of a row of the hub."""
    config = f"/{source.config}" if source.config else ""
    return f"hf://datasets/{source.repo}@{source.revision}{config}/{source.from_split}"


def rows(source: DatasetsSource, scratch: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(number, row) from 1."""
    try:
        import datasets
    except ImportError:
        raise MissingExtra("datasets", "collect", f"source {source.name}") from None
    try:
        stream = datasets.load_dataset(
            source.repo,
            source.config,
            split=source.from_split,
            revision=source.revision,
            streaming=True,
            cache_dir=source.cache_dir or str(scratch / "datasets"),
        )
        yield from enumerate(stream, 1)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        raise StageError(f"source {source.name}: cannot read {where(source)}: {error}") from error
