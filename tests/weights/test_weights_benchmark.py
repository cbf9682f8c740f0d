"""The benchmark's works, on a shape of a moment: what it compares is comparable."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

from so8t.weights import gatefiles
from tests.weights import workshop


@pytest.fixture
def benchmark(root: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    spec = importlib.util.spec_from_file_location("weights_benchmark", root / "benchmarks" / "weights.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "weights_benchmark", module)  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_ours_and_pefts_are_the_same_bytes_and_the_bake_is_the_same_function(benchmark: Any, tmp_path: Path) -> None:
    shape = benchmark.Shape(hidden=64, inner=96, heads=4, layers=4, words=97, rank=4, shard=60_000)
    benchmark.make(tmp_path, shape)
    for work in (benchmark.merge, benchmark.bake, benchmark.peft):
        work(tmp_path, shape)

    assert benchmark.unlike(tmp_path) == 0
    gated = workshop.plain(tmp_path / "merged")
    gatefiles.load(gated, tmp_path / "adapter")
    baked = workshop.plain(tmp_path / "baked")
    assert workshop.apart(workshop.logits(gated), workshop.logits(baked)) < 0.05  # bfloat16 products
    assert benchmark.folds(shape, 1).keys() == {"dense", "ours"}
