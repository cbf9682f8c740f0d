"""Rows of a dataset that Hugging Face `datasets` reads: streamed, from a pinned commit or from local files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from so8t.corpus.sources import DatasetsSource
from so8t.errors import MissingExtra, StageError


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
