"""The comparison of LoRA, gates and OFT: its budgets are what they say, its table too, and a finished run is kept."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

TINY = [(256, 768), (256, 256), (256, 512), (256, 256)]  # of one layer: qkv, o, gate_up, down


@pytest.fixture(scope="module")
def gates(root: Path) -> Any:
    spec = importlib.util.spec_from_file_location("gates_benchmark", root / "benchmarks" / "gates.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["gates_benchmark"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_only_what_has_the_same_budget_stands_beside_each_other(gates: Any) -> None:
    assert [(each.budget, each.name) for each in gates.variants([0.1, 0.9], [1.0, 5.0])] == [
        ("full", "LoRA"),
        ("full", "LoRA + gates (geodesic to 0.1)"),
        ("full", "LoRA + gates (geodesic to 0.1, rate x5)"),
        ("full", "LoRA + gates (geodesic to 0.9)"),
        ("full", "LoRA + gates (geodesic to 0.9, rate x5)"),
        ("full", "OFT"),
        ("few", "LoRA"),
        ("few", "gates (geodesic to 0.1)"),
        ("few", "gates (geodesic to 0.1, rate x5)"),
        ("few", "gates (geodesic to 0.9)"),
        ("few", "gates (geodesic to 0.9, rate x5)"),
        ("few", "gates (free)"),
        ("few", "gates (free, rate x5)"),
        ("few", "OFT"),
    ]
    slugs = [each.slug for each in gates.variants([0.1, 0.9], [1.0, 5.0])]
    assert len(slugs) == len(set(slugs)) and slugs[4] == "full-lora-geodesic-0.9-5"


def test_parameters_are_counted_as_they_are_trained(gates: Any) -> None:
    behind = [(256, 256)] * 2

    assert gates.lora_parameters(TINY * 4, 64) == 720_896
    assert gates.gate_parameters(behind) == 1_794  # as so8t.json of tiny says
    assert gates.oft_parameters(behind, 8) == 1_792
    assert gates.oft_parameters([(256, 768)], 256) == 32_640


@pytest.mark.parametrize(("wanted", "rank"), [(1, 1), (1_024, 1), (1_700, 2), (1_794, 2), (65_536, 64)])
def test_loras_rank_is_the_nearest(gates: Any, wanted: int, rank: int) -> None:
    assert gates.nearest_rank([(256, 256)] * 2, wanted) == rank


def test_ofts_block_divides_every_input_and_is_the_nearest(gates: Any) -> None:
    smol = [(576, 576), (576, 1536), (1536, 576)]

    assert gates.nearest_block(TINY, 180_224) == 256  # no larger block is there
    assert gates.nearest_block(TINY, 4 * 256 * 15 // 2) == 16
    assert gates.nearest_block(smol, 10**9) == 192  # of 576 and 1,536
    assert gates.nearest_block(smol, 2_688 * 7 // 2) == 8


def test_a_run_is_kept_whole_and_for_its_own_settings(gates: Any, tmp_path: Path) -> None:
    path, settings = tmp_path / "full-lora-0.json", {"plan": {"steps": 3}}

    assert gates.kept(path, settings) is None
    gates.keep(path, settings, {"loss": 1.5})
    assert gates.kept(path, settings) == {"loss": 1.5}
    assert gates.kept(path, {"plan": {"steps": 4}}) is None
    assert [left.name for left in tmp_path.iterdir()] == ["full-lora-0.json"]


def test_the_table_has_means_and_spread(gates: Any) -> None:
    one = {"loss": 1.0, "accuracy": 0.5, "format_valid": 1.0, "angle": None, "step_seconds": 0.1, "parameters": 1_794}
    other = {**one, "loss": 2.0, "accuracy": 0.75, "step_seconds": 0.3}
    lora, turned = gates.variants([0.9], [1.0])[:2]

    lines = gates.rows({lora: [one, other], turned: [{**one, "angle": 12.345}]})

    assert gates.table(lines) == (
        "| budget | what learns | parameters | loss | accuracy | format_valid | angle | step_seconds |\n"
        "|---|---|---|---|---|---|---|---|\n"
        "| full | LoRA | 1,794 | 1.5000 (1.0000 to 2.0000) | 0.625 (0.500 to 0.750) | 1.000 |  | "
        "0.200 (0.100 to 0.300) |\n"
        "| full | LoRA + gates (geodesic to 0.9) | 1,794 | 1.0000 | 0.500 | 1.000 | 12.35 | 0.100 |"
    )


def test_a_column_that_no_run_has_is_left_out(gates: Any) -> None:
    run = {"loss": 1.0, "accuracy": None, "format_valid": None, "angle": None, "step_seconds": 0.1, "parameters": 2}

    assert gates.rows({gates.Variant("few", "oft"): [run]}) == [
        ["budget", "what learns", "parameters", "loss", "step_seconds"],
        ["few", "OFT", "2", "1.0000", "0.100"],
    ]
