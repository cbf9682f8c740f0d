"""The other computation of the baked weights: it agrees with ours, needs nothing of ours, and sees what is wrong."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from tests.weights import workshop
from tests.weights.workshop import Trained

pytestmark = pytest.mark.slow

VARIANTS: dict[str, dict[str, Any]] = {
    "geodesic": {},
    "blend": {"kind": "blend"},
    "free": {"kind": "free"},
    "llama": {"family": "llama"},
    "patterns": {"rank_pattern": {"o_proj": 8}, "alpha_pattern": {"mlp.*": 3.5}, "use_rslora": True},
    "dora": {"use_dora": True},
    "embeddings": {"targets": ["o_proj", "embed_tokens", "lm_head"]},
    "whole": {"targets": ["o_proj"], "modules_to_save": ["lm_head"], "shape": {"tie_word_embeddings": True}},
}


@pytest.fixture(scope="module")
def independent(root: Path) -> Any:
    spec = importlib.util.spec_from_file_location("independent_eyes", root / "benchmarks" / "independent.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["independent_eyes"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def baked(folder: Path, **variant: Any) -> Trained:
    """With an adapter that is small beside its base, as it is over a base that had learned something."""
    trained = workshop.train(folder, **{"dtype": "bfloat16", "lora_alpha": 1, **variant})
    workshop.merge_it(trained)
    workshop.bake_it(trained)
    return trained


def asked(folder: Path) -> list[str]:
    return [f"--{name}={folder / name}" for name in ("base", "adapter", "baked")]


@pytest.mark.parametrize("variant", VARIANTS)
def test_it_finds_what_we_baked(independent: Any, tmp_path: Path, variant: str) -> None:
    baked(tmp_path, **VARIANTS[variant])

    assert independent.main([*asked(tmp_path), "--equal=0.9999"]) == 0  # 80,000 values cannot say more
    rows = independent.compare_all(*(tmp_path / name for name in ("base", "adapter", "baked")))
    assert sum(row.values for row in rows if row.computed) > 15_000
    assert [row.differing for row in rows if not row.computed] == [0] * sum(not row.computed for row in rows)


def test_what_is_allowed_in_16_bits_can_be_said(
    independent: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    baked(tmp_path, dtype="float16", lora_alpha=32)  # larger than the base: values near a tie are many

    assert independent.main(asked(tmp_path)) == 1
    assert re.search(r": \d+ of 82,944 F16 values differ$", capsys.readouterr().err, re.MULTILINE)
    assert independent.main([*asked(tmp_path), "--equal=0.999"]) == 0
    assert independent.main([*asked(tmp_path), "--equal=0.999", "--steps=0"]) == 1


def test_32_bits_are_held_to_the_errors_of_32_bit_sums(
    independent: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = baked(tmp_path, dtype="float32")
    name = "model.layers.1.self_attn.o_proj.weight"

    assert independent.main(asked(tmp_path)) == 0
    weight = workshop.weights(trained.root / "baked")[name]
    weight[3, 5] *= 1 + 1e-5
    change(trained, name, weight)
    capsys.readouterr()
    assert independent.main(asked(tmp_path)) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"independent: not what base, adapter and gates give: {name}: ")
    assert said.endswith(" times the bound of rounding errors\n") and said.count("\n") == 1


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    return baked(tmp_path_factory.mktemp("wrong"))


def change(trained: Trained, name: str, tensor: torch.Tensor) -> None:
    for path in (trained.root / "baked").glob("*.safetensors"):
        if name in workshop.load_file(path):
            workshop.edit(path, **{name: tensor})


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("model.layers.1.self_attn.o_proj.weight", " times the bound of rounding errors"),  # behind a gate
        ("model.layers.0.mlp.down_proj.weight", " times the bound of rounding errors"),  # merged
        ("model.norm.weight", ": 1 values are not the base's"),
    ],
)
def test_two_steps_off_are_seen_and_named(
    independent: Any, wrong: Trained, name: str, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    right = workshop.weights(wrong.root / "baked")[name]
    off = right.clone()
    off.flatten().view(torch.int16)[1] += 2
    change(wrong, name, off)
    code = independent.main(asked(wrong.root))
    change(wrong, name, right)
    said = capsys.readouterr()

    assert code == 1
    assert said.err.startswith(f"independent: not what base, adapter and gates give: {name}: ")
    assert said.err.endswith(f"{problem}\n") and said.err.count("\n") == 1
    assert f"\n| {name} | BF16 | " in said.out


def test_many_single_steps_are_too_many(independent: Any, wrong: Trained, capsys: pytest.CaptureFixture[str]) -> None:
    name = "model.layers.0.mlp.down_proj.weight"
    right = workshop.weights(wrong.root / "baked")[name]
    off = right.clone()
    off.flatten().view(torch.int16)[:8] += 1
    change(wrong, name, off)
    code = independent.main(asked(wrong.root))
    change(wrong, name, right)

    assert code == 1
    assert " BF16 values differ" in capsys.readouterr().err


def test_a_gate_folded_in_from_the_wrong_side_is_seen(
    independent: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = workshop.train(tmp_path, dtype="bfloat16")
    workshop.merge_it(trained)
    workshop.bake_it(trained, {name: blocks.mT.contiguous() for name, blocks in trained.gates.matrices().items()})

    assert independent.main(asked(tmp_path)) == 1
    gated = [f"model.layers.{layer}.self_attn.o_proj.weight" for layer in (1, 2)]
    said = re.findall(r"^independent: .*: (.*): .* times the bound", capsys.readouterr().err, re.MULTILINE)
    assert said == gated


def test_it_rounds_as_the_types_do(independent: Any) -> None:
    values = torch.randn(20_000, dtype=torch.float64) * torch.exp(torch.linspace(-90, 10, 20_000, dtype=torch.float64))
    values = torch.cat([values, torch.tensor([0.0, -0.0, 1 + 2**-8, 1 + 3 * 2**-8, 2.0**-140], dtype=torch.float64)])

    for kind, dtype in (("F16", torch.float16), ("F32", torch.float32)):
        assert numpy.array_equal(independent.rounded(values.numpy(), kind), values.to(dtype).double().numpy())
    short = values.float()  # torch goes through float32 on its way to bfloat16
    assert numpy.array_equal(independent.rounded(short.double().numpy(), "BF16"), short.bfloat16().double().numpy())


def test_it_imports_nothing_of_ours(root: Path) -> None:
    tree = ast.parse((root / "benchmarks" / "independent.py").read_text("utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}

    assert {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names) == {"numpy"}
