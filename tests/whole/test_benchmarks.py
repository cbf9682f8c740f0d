"""The toy projects of the benchmarks build with the engine of today, and are up to date afterwards."""

from __future__ import annotations

import importlib
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.house import DOIT

pytestmark = pytest.mark.slow


@pytest.fixture
def toys(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return importlib.import_module("toys")


def a_chain_built_in_one_process(toys: Any, folder: Path) -> None:
    toys.so8t_chains(folder, 3)
    toys.build_in_one_process(folder, {})


def the_pipeline_built_by_doit(toys: Any, folder: Path) -> None:
    toys.so8t_project(folder, toys.pipeline()[:3])
    subprocess.run(DOIT, cwd=folder, check=True, capture_output=True, timeout=120)


@pytest.mark.parametrize(
    ("built", "said"),
    [
        (a_chain_built_in_one_process, "-- s0000\n-- s0001\n-- s0002\n"),
        (the_pipeline_built_by_doit, "-- cleaned\n-- sft\n-- split\n"),
    ],
)
def test_a_built_toy_is_up_to_date(toys: Any, tmp_path: Path, built: Callable[[Any, Path], None], said: str) -> None:
    built(toys, tmp_path)

    assert subprocess.run(DOIT, cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=120).stdout == said
