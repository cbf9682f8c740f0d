"""Datasets of the hub, which is never asked; tests/corpus/test_files.py reads the files of this machine."""

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from so8t.corpus import hub, tables
from so8t.corpus.hub import DatasetsSource

BASE: dict[str, Any] = {"kind": "datasets", "name": "公開データ", "terms": "CC0-1.0", "trust": "medium"}
REVISION = "0123456789abcdef0123456789abcdef01234567"
PROJECT = Path(__file__).parents[2]


def test_a_row_kept_aside_names_what_json_cannot_hold() -> None:
    row = {"text": 1, "image": b"\x89PNG", "score": float("nan"), "at": datetime(2026, 11, 1), "by": {1: "a"}}

    assert tables.raw(row) == {
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
        f"try: list(hub.rows(DatasetsSource(**{declared}), Path('unused')))",
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
