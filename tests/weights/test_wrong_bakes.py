"""A model that was baked or merged wrongly on purpose is refused, and the message names the layer that is off."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
import torch

from so8t.errors import StageError
from so8t.parity import bounds, layerwise
from tests.weights import workshop
from tests.weights.test_same_function import compared
from tests.weights.workshop import Trained

SQUARE = {"hidden_size": 64}  # so that gates fit on both sides of the projections
FIRST, SECOND = (f"model.layers.{layer}.self_attn.o_proj.weight" for layer in (1, 2))
ADVICE = "look at the bake"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    trained = workshop.train(tmp_path_factory.mktemp("good"), shape=SQUARE)
    workshop.merge_it(trained)
    return trained


def refused(trained: Trained, folder: Path, with_gates: bool = False) -> str:
    found = compared(trained, folder, with_gates)
    with pytest.raises(StageError) as caught:
        layerwise.check("baked_model", found, bounds.USUAL["F32"], ADVICE)
    text = str(caught.value)
    assert text.startswith("baked_model: the largest difference is ")
    assert text.endswith(f"; over 14 tokens of 3 held-out conversations, worst in {found.figures.worst}; {ADVICE}")
    return text


def layers(text: str) -> list[str]:
    return re.findall(r"(model\.layers\.\d|embeddings) by ", text)


def test_the_right_bake_is_not(good: Trained) -> None:
    layerwise.check("baked_model", compared(good, workshop.bake_it(good), False), bounds.USUAL["F32"], ADVICE)


def test_transposed_rotations(good: Trained) -> None:
    matrices = {name: blocks.mT.contiguous() for name, blocks in good.gates.matrices().items()}

    assert layers(refused(good, workshop.bake_it(good, matrices))) == ["model.layers.1", "model.layers.2"]


def test_one_transposed_rotation_among_right_ones(good: Trained) -> None:
    matrices = good.gates.matrices()
    matrices[SECOND] = matrices[SECOND].mT.contiguous()

    assert layers(refused(good, workshop.bake_it(good, matrices))) == ["model.layers.2"]


def test_multiplied_from_the_left(good: Trained) -> None:
    baked = workshop.bake_it(good)
    left = torch.block_diag(*good.gates.matrices()[FIRST]).float() @ workshop.weights(good.root / "merged")[FIRST]
    shard = json.loads((baked / "model.safetensors.index.json").read_bytes())["weight_map"][FIRST]
    workshop.edit(baked / shard, **{FIRST: left})

    assert layers(refused(good, baked)) == ["model.layers.1"]


def test_blocks_off_by_one(good: Trained) -> None:
    matrices = good.gates.matrices()
    matrices[FIRST] = matrices[FIRST].roll(1, 0)

    assert layers(refused(good, workshop.bake_it(good, matrices))) == ["model.layers.1"]


def test_two_neighbouring_blocks_exchanged(good: Trained) -> None:
    matrices = good.gates.matrices()
    matrices[FIRST] = matrices[FIRST][[1, 0, *range(2, 8)]]

    assert layers(refused(good, workshop.bake_it(good, matrices))) == ["model.layers.1"]


def test_a_skipped_layer(good: Trained) -> None:
    matrices = good.gates.matrices()
    del matrices[SECOND]

    assert layers(refused(good, workshop.bake_it(good, matrices))) == ["model.layers.2"]


def test_gates_folded_in_twice(good: Trained) -> None:
    matrices = {name: blocks @ blocks for name, blocks in good.gates.matrices().items()}

    assert layers(refused(good, workshop.bake_it(good, matrices))) == ["model.layers.1", "model.layers.2"]


@pytest.mark.parametrize(
    ("pattern", "off"),
    [
        (".*", ["model.layers.0", "model.layers.1", "model.layers.2", "model.layers.3"]),
        (r"layers\.3\.mlp\.down_proj", ["model.layers.3"]),
    ],
)
def test_loras_scale_doubled(good: Trained, tmp_path: Path, pattern: str, off: list[str]) -> None:
    shutil.copytree(good.adapter, tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text("utf-8"))
    config["alpha_pattern"] = {pattern: 2 * config["lora_alpha"]}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    merged = workshop.merge_it(good, "doubled", tmp_path / "adapter")

    assert layers(refused(good, merged, with_gates=True)) == off


def test_an_embedding_or_a_head_that_is_off_shows_too(good: Trained) -> None:
    merged = workshop.merge_it(good, "shifted")
    places = json.loads((merged / "model.safetensors.index.json").read_bytes())["weight_map"]
    before = workshop.weights(merged)
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        workshop.edit(merged / places[name], **{name: before[name].roll(1, 0)})
        text = refused(good, merged, with_gates=True)
        workshop.edit(merged / places[name], **{name: before[name]})

        assert layers(text) == (["embeddings"] if "embed" in name else [])
        assert ("no single layer is off" in text) == (name == "lm_head.weight")
