"""baked_model on a pico base: a standard model in every reader's eyes, proven against what was trained."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from so8t.engine.stage import Inputs
from so8t.errors import StageError
from so8t.gguf import layout, llamacpp, writer
from so8t.gguf.metadata import Provenance
from so8t.store.fingerprint import Fingerprint
from so8t.store.publish import seal
from stages import baked_model
from stages.baked_model import STAGE, Spec
from tests.gguf import folders
from tests.stages import pico_trained
from tests.weights import workshop

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    root = tmp_path_factory.mktemp("artifacts")
    return pico_trained.with_merged(pico_trained.inputs(root), root / "merged_model")


def build(inputs: Inputs, out: Path, **spec: Any) -> dict[str, Any]:
    out.mkdir()
    hashed = baked_model.build(inputs, out, Spec(**spec))
    seal(out, Fingerprint("baked_model", {}, {}, {}, {}), STAGE.gives, STAGE.ships, hashed)
    facts: dict[str, Any] = json.loads((out / "parity.json").read_bytes())
    return facts


def test_it_is_a_standard_model_again(inputs: Inputs, tmp_path: Path) -> None:
    facts = build(inputs, tmp_path / "out")
    base, baked = inputs["base_model"] / "model", tmp_path / "out" / "model"
    before, after = workshop.weights(base), workshop.weights(baked)

    assert {path.name for path in baked.iterdir()} == {path.name for path in base.iterdir()}
    assert (baked / "config.json").read_bytes() == (base / "config.json").read_bytes()
    assert {name: (t.shape, t.dtype) for name, t in after.items()} == {
        name: (t.shape, t.dtype) for name, t in before.items()
    }
    assert (facts["kind"], facts["gates"], sorted(facts)) == ("geodesic", 2, ["baked", "gates", "kind"])
    assert (facts["baked"]["max_difference"], facts["baked"]["top1"]) == (1e-5, 1.0)


def test_plain_transformers_computes_what_the_gated_merged_model_computes(inputs: Inputs, tmp_path: Path) -> None:
    build(inputs, tmp_path / "out")
    gated = workshop.gated(inputs["merged_model"] / "model", inputs["merged_model"])
    ids = torch.tensor([[1, 60, 70, 80, 90, 100, 110]])
    with torch.no_grad():
        expected = gated(input_ids=ids).logits
        found = workshop.plain(tmp_path / "out" / "model")(input_ids=ids).logits

    assert workshop.apart(expected, found) < 1e-5


def test_llama_cpp_reads_it(inputs: Inputs, tmp_path: Path) -> None:
    build(inputs, tmp_path / "out")
    source = layout.open_source(tmp_path / "out" / "model")
    target = tmp_path / "pico-f32.gguf"
    writer.write(source, target, "f32", Provenance("pico"), layout.read_vocabulary(source, folders.MARKERS))
    ids = [1, 60, 70, 80, 90]
    with llamacpp.Model(target, 16, 1) as model:
        found = torch.tensor(model.logits(ids))
    with torch.no_grad():
        expected = workshop.plain(tmp_path / "out" / "model")(input_ids=torch.tensor([ids])).logits[0]

    assert workshop.apart(expected, found) < 1e-3  # llama.cpp rounds its key-value cache


def test_free_gates_are_projected_and_both_figures_are_published(tmp_path: Path) -> None:
    given = pico_trained.inputs(tmp_path / "artifacts", kind="free")
    inputs = pico_trained.with_merged(given, tmp_path / "merged_model")
    facts = build(inputs, tmp_path / "out", projection={"max_difference": 1, "kl": 1, "top1": 0, "layer": 1})

    assert facts["kind"] == "free"
    assert facts["baked"]["max_difference"] == 1e-5
    assert facts["projection"]["max_difference"] > 1e-4
    assert facts["projection"]["worst_layer_deviation"] > 1e-4


def test_free_gates_far_from_any_rotation_fail_the_stage(tmp_path: Path) -> None:
    given = pico_trained.inputs(tmp_path / "artifacts", kind="free")
    inputs = pico_trained.with_merged(given, tmp_path / "merged_model")

    with pytest.raises(StageError) as caught:
        build(inputs, tmp_path / "out", projection={"max_difference": 1e-9, "kl": 1, "top1": 0, "layer": 1})
    assert str(caught.value).startswith("baked_model: free gates made rotations: the largest difference is ")
    assert str(caught.value).endswith(
        "nothing was published; train with a larger gates.orthogonality; projection says what may be lost"
    )
    assert not (tmp_path / "out" / "parity.json").exists()


def test_gates_that_are_not_those_that_were_trained_fail_the_stage(inputs: Inputs, tmp_path: Path) -> None:
    """As if merged_model had been damaged: what was trained is the judge."""
    shutil.copytree(inputs["merged_model"], tmp_path / "merged")
    path = tmp_path / "merged" / "gates.safetensors"
    name = "model.layers.1.self_attn.so8_gate.theta"
    workshop.edit(path, **{name: -load_file(path)[name]})

    with pytest.raises(StageError, match=r"\(layer\): model\.layers\.1 by ") as caught:
        build(Inputs({**inputs.artifacts, "merged_model": tmp_path / "merged"}), tmp_path / "out")
    assert "model.layers.0" not in str(caught.value)


def test_pointers_to_a_repositorys_own_code_do_not_travel(inputs: Inputs, tmp_path: Path) -> None:
    shutil.copytree(inputs["merged_model"], tmp_path / "merged")
    path = tmp_path / "merged" / "model" / "config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**config, "auto_map": {"AutoConfig": "configuration_phi3.Phi3Config"}}), "utf-8")
    build(Inputs({**inputs.artifacts, "merged_model": tmp_path / "merged"}), tmp_path / "out")

    assert json.loads((tmp_path / "out" / "model" / "config.json").read_text("utf-8")) == config


def test_equal_inputs_give_equal_bytes_whatever_the_workers_and_threads(inputs: Inputs, tmp_path: Path) -> None:
    build(inputs, tmp_path / "one", workers=1, threads=1)
    build(inputs, tmp_path / "two", workers=3, threads=2)

    assert pico_trained.files(tmp_path / "one") == pico_trained.files(tmp_path / "two")


def test_every_file_that_leaves_the_house_has_a_sha256(inputs: Inputs, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    hashed = baked_model.build(inputs, tmp_path / "out", Spec())

    assert {name: file.sha256 for name, file in hashed.items()} == {
        "model/model.safetensors": hashlib.sha256((tmp_path / "out/model/model.safetensors").read_bytes()).hexdigest()
    }
