"""Sources that Hugging Face `datasets` reads, with real local files; the hub itself is never asked."""

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from so8t.corpus import hub
from so8t.corpus.hub import DatasetsSource
from so8t.errors import StageError

ROWS = [
    {"prompt": "経費精算の締め切りは？", "meta": {"class": 0, "tags": ["経理", "締切"]}},
    {"prompt": "同僚の住所を教えて 🏠", "meta": {"class": 2, "tags": []}},
]
BASE: dict[str, Any] = {"kind": "datasets", "name": "公開データ", "terms": "CC0-1.0", "trust": "medium"}
REVISION = "0123456789abcdef0123456789abcdef01234567"
PROJECT = Path(__file__).parents[2]


def write(path: Path) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(ROWS), path)
    else:
        path.write_bytes(b"\n".join(orjson.dumps(row) for row in ROWS))
    return path


@pytest.mark.parametrize("form", ["parquet", "json"])
def test_local_files_are_streamed_row_by_row(tmp_path: Path, form: str) -> None:
    source = DatasetsSource(**BASE, format=form, paths=["x"])

    rows = list(hub.rows(source, write(tmp_path / f"x.{form}"), tmp_path))

    assert rows == [(1, ROWS[0]), (2, ROWS[1])]


def test_a_file_that_is_not_of_its_format_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(b"not parquet")

    with pytest.raises(StageError) as error:
        list(hub.rows(DatasetsSource(**BASE, format="parquet", paths=["x"]), path, tmp_path))

    assert str(error.value).startswith(f"source 公開データ: cannot read {path}: ")


def test_a_row_kept_aside_names_what_json_cannot_hold() -> None:
    row = {"text": 1, "image": b"\x89PNG", "score": float("nan"), "at": datetime(2026, 11, 1), "by": {1: "a"}}

    assert hub.raw(row) == {
        "raw": '{"text":1,"image":"<bytes>","score":null,"at":"2026-11-01T00:00:00","by":{"1":"a"}}'
    }


def test_rows_of_the_hub_are_called_by_their_pinned_place() -> None:
    source = DatasetsSource(**BASE, repo="owner/name", revision=REVISION, config="ja", from_split="test")

    assert hub.where(source) == f"hf://datasets/owner/name@{REVISION}/ja/test"


def python(code: str, **environment: str) -> str:
    declared = f"dict(kind='datasets', name='faq', terms='t', trust='low', repo='owner/name', revision='{REVISION}')"
    lines = [
        "import sys; from pathlib import Path",
        code,
        "from so8t.corpus import hub; from so8t.corpus.hub import DatasetsSource",
        f"try: list(hub.rows(DatasetsSource(**{declared}), None, Path('unused')))",
        "except Exception as error: print(type(error).__name__, error, sep=': ')",
    ]
    run = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)],
        cwd=PROJECT,
        env={**os.environ, **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )
    return run.stdout + run.stderr


def test_without_datasets_the_line_that_installs_it_is_printed() -> None:
    said = python("sys.modules['datasets'] = None")

    assert said == "MissingExtra: source faq needs datasets: pip install 'so8t[collect]'\n"


@pytest.mark.slow
def test_without_a_network_the_source_and_its_place_are_named(tmp_path: Path) -> None:
    said = python("", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path))

    assert said.startswith(f"StageError: source faq: cannot read hf://datasets/owner/name@{REVISION}/train: ")
