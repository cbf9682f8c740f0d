"""Parquet and Arrow files, read a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from so8t.corpus import tables
from so8t.corpus.rows import Row, Rows
from so8t.errors import DataError, MissingExtra

MAGIC = (b"PAR1", b"ARROW1")
_ROWS = 64


def rows(path: Path, name: str) -> Rows:
    """The file as a source gives it."""
    found = (Row(name, number, row, "record") for number, row in enumerate(_records(path, name), 1))
    return Rows((name,), found, tables.parse, tables.raw)


def _records(path: Path, name: str) -> Iterator[dict[str, Any]]:
    try:
        import pyarrow as pa
    except ImportError:
        raise MissingExtra("pyarrow", "collect", f"reading {name}") from None
    try:
        for batch in _batches(path):
            for start in range(0, batch.num_rows, _ROWS):
                yield from batch.slice(start, _ROWS).to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{name}: cannot read: {error}") from error


def _batches(path: Path) -> Iterator[Any]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with path.open("rb") as file:
        magic = file.read(6)
    if magic.startswith(MAGIC[0]):
        with pq.ParquetFile(path) as table:
            yield from table.iter_batches(_ROWS)
        return
    with pa.memory_map(str(path)) as source:
        if magic == MAGIC[1]:
            reader = pa.ipc.open_file(source)
            yield from (reader.get_batch(number) for number in range(reader.num_record_batches))
        else:
            yield from pa.ipc.open_stream(source)  # as `datasets` saves them
