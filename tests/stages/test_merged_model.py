"""merged_model on a pico base: what it leaves, what it proves, and what it refuses."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from safetensors.torch import load_file

from so8t.engine.stage import Inputs
from so8t.errors import StageError
from so8t.store.fingerprint import Fingerprint
from so8t.store.publish import seal
from stages import merged_model
from stages.merged_model import STAGE, Spec
from tests.stages import pico_trained
from tests.weights import workshop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    return pico_trained.inputs(tmp_path_factory.mktemp("artifacts"))


def build(inputs: Inputs, out: Path, **spec: Any) -> dict[str, Any]:
    out.mkdir()
    hashed = merged_model.build(inputs, out, Spec(**spec))
    seal(out, Fingerprint("merged_model", {}, {}, {}, {}), STAGE.gives, STAGE.ships, hashed)
    facts: dict[str, Any] = json.loads((out / "merge.json").read_bytes())
    return facts


def test_it_leaves_a_checkpoint_the_gates_and_the_figures(inputs: Inputs, tmp_path: Path) -> None:
    facts = build(inputs, tmp_path / "out")
    base, adapter = inputs["base_model"] / "model", inputs["adapter"]
    found = pico_trained.files(tmp_path / "out")

    assert {f"model/{path.name}" for path in base.iterdir()} | {
        "gates.safetensors",
        "so8t.json",
        "merge.json",
        "manifest.json",
    } == set(found)
    for name in ("tokenizer.model", "tokenizer.json", "tokenizer_config.json", "config.json", "chat_template.jinja"):
        assert found[f"model/{name}"] == (base / name).read_bytes()
    for name in ("gates.safetensors", "so8t.json"):
        assert found[name] == (adapter / name).read_bytes()
    assert (len(facts["merged"]), facts["replaced"], facts["copied"], facts["untied"]) == (8, [], 7, False)
    assert facts["parity"] == {
        "tokens": facts["parity"]["tokens"],
        "scale": facts["parity"]["scale"],
        "top1": 1.0,
        "top5": 1.0,
        "max_difference": 1e-5,
        "mean_difference": 1e-5,
        "kl": 1e-7,
        "kl_max": 1e-7,
        "worst_kl": 1e-7,
        "worst": None,
        "layers": 2,
        "worst_layer_deviation": 1e-5,
        "bounds": {"max_difference": 1e-4, "kl": 1e-6, "top1": 0.99, "layer": 1e-4},
    }


def test_the_digests_that_it_gives_are_those_of_its_files(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    hashed = merged_model.build(inputs, tmp_path / "out", Spec())
    known = seal(tmp_path / "out", Fingerprint("merged_model", {}, {}, {}, {}), STAGE.gives)

    assert list(hashed) == ["model/model.safetensors"]
    assert known.digests["model/model.safetensors"] == hashed["model/model.safetensors"].blake3


def test_equal_inputs_give_equal_bytes_whatever_the_workers_and_threads(inputs: Inputs, tmp_path: Path) -> None:
    build(inputs, tmp_path / "one", workers=1, threads=1)
    build(inputs, tmp_path / "two", workers=3, threads=2)

    assert pico_trained.files(tmp_path / "one") == pico_trained.files(tmp_path / "two")


def test_sixteen_bits_have_bounds_of_their_own(tmp_path: Path) -> None:
    inputs = pico_trained.inputs(tmp_path / "artifacts", dtype="bfloat16")
    facts = build(inputs, tmp_path / "out", parity={"splits": ("test", "test_known"), "conversations": 2, "tokens": 8})

    assert facts["parity"]["bounds"] == {"max_difference": 0.1, "kl": 0.02, "top1": 0.9, "layer": 0.01}
    assert facts["parity"]["tokens"] == 32
    assert 1e-5 < facts["parity"]["worst_layer_deviation"] < 0.01


def test_a_passed_bound_fails_the_stage_and_names_layer_and_prompt(tmp_path: Path) -> None:
    inputs = pico_trained.inputs(tmp_path / "artifacts", dtype="bfloat16")
    narrow = {"max_difference": 1e-9, "kl": 1, "top1": 0, "layer": 1e-9}

    with pytest.raises(StageError) as caught:
        build(inputs, tmp_path / "out", parity={"bounds": narrow})
    text = str(caught.value)
    assert text.startswith("merged_model: the largest difference is ")
    assert (
        "of the logit scale, over 1e-09 (max_difference); off by more than 1e-09 of what a layer adds (layer): " in text
    )
    assert "model.layers.0 by " in text
    assert text.endswith("; nothing was published; parity.bounds says what may be lost")
    assert "worst in test:" in text
    assert not (tmp_path / "out" / "merge.json").exists()


def test_a_split_that_is_not_there_is_told_with_those_that_are(inputs: Inputs, tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught:
        build(inputs, tmp_path / "out", parity={"splits": ("validation",)})
    assert str(caught.value) == "parity.splits: thinking_sft has no split validation; it has test, test_known"


def test_an_adapter_that_is_no_number_ends_the_stage(tmp_path: Path) -> None:
    inputs = pico_trained.inputs(tmp_path / "artifacts")
    path = inputs["adapter"] / "adapter_model.safetensors"
    name, tensor = next(iter(load_file(path).items()))
    workshop.edit(path, **{name: tensor * math.nan})

    with pytest.raises(StageError, match="values that are infinite or NaN"):
        build(inputs, tmp_path / "out")


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"shard_size": 1}, "shard_size"),
        ({"workers": 0}, "workers"),
        ({"parity": {"splits": ()}}, "parity.splits"),
        ({"parity": {"conversations": 0}}, "parity.conversations"),
        ({"parity": {"bounds": {"kl": 1}}}, "parity.bounds.max_difference"),
    ],
)
def test_a_spec_that_cannot_work_says_why(spec: dict[str, Any], says: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Spec(**spec)
    assert says in str(caught.value)
