"""Adapter, merged and baked are one function, in every family, by transformers' own forward and by the streamed one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from so8t.parity import layerwise
from so8t.parity.layerwise import Compared
from so8t.weights import bake, lora, reader, streamed
from tests.gate.families import FAMILIES
from tests.weights import workshop
from tests.weights.workshop import PROMPTS, Trained

pytestmark = pytest.mark.slow

CLOSE = 1e-5  # of the logit scale, in float32


def compared(trained: Trained, folder: Path, with_gates: bool, kind: Any = None) -> Compared:
    gates = bake.projected(trained.gates) if kind == "projected" else trained.gates
    with reader.open_folder(trained.base, "base_model") as base, reader.open_folder(folder, folder.name) as made:
        adapter = lora.read(trained.adapter, base)
        reference = streamed.adapted(trained.base, base, trained.adapter, adapter, gates)
        candidate = streamed.dense(folder, made, gates if with_gates else None)
        found = layerwise.compare(reference, candidate, PROMPTS, trained.root)
        adapter.close()
    return found


@pytest.mark.parametrize("family", FAMILIES)
def test_adapter_merged_and_baked_give_the_same_logits(family: str, tmp_path: Path) -> None:
    trained = workshop.train(tmp_path, family)
    merged, baked = workshop.merge_it(trained), workshop.bake_it(trained)
    expected = workshop.logits(trained.model)

    assert workshop.apart(expected, workshop.logits(workshop.gated(merged, trained.adapter))) < CLOSE
    assert workshop.apart(expected, workshop.logits(workshop.plain(baked))) < CLOSE
    assert workshop.apart(expected, workshop.logits(workshop.plain(merged))) > 1e-3  # gates matter here

    for folder, with_gates in ((merged, True), (baked, False)):
        found = compared(trained, folder, with_gates)
        assert found.figures.max_difference < CLOSE
        assert found.figures.top1 == 1
        assert max(found.layers.values()) < CLOSE
        assert found.figures.tokens == 14


@pytest.mark.parametrize(
    "settings",
    [
        {"rank_pattern": {"o_proj": 8}, "alpha_pattern": {r"layers\.2\.mlp\.down_proj": 32}},
        {"use_rslora": True, "lora_alpha": 3},
        {"use_dora": True},
        {"targets": ["o_proj", "embed_tokens", "lm_head"]},
        {"targets": ["o_proj", "embed_tokens"], "shape": {"tie_word_embeddings": True}},
        {"targets": ["o_proj", "lm_head"], "shape": {"tie_word_embeddings": True}},
        {"targets": ["o_proj"], "modules_to_save": ["lm_head"]},
    ],
    ids=["patterns", "rslora", "dora", "embeddings", "tied-embeddings", "tied-head", "head-as-a-whole"],
)
@pytest.mark.parametrize("kind", ["blend", "geodesic"])
def test_every_variant_of_lora_is_the_same_function(settings: dict[str, Any], kind: str, tmp_path: Path) -> None:
    trained = workshop.train(tmp_path, kind=kind, **settings)
    workshop.merge_it(trained)
    baked = workshop.bake_it(trained)

    assert workshop.apart(workshop.logits(trained.model), workshop.logits(workshop.plain(baked))) < CLOSE
    assert compared(trained, baked, with_gates=False).figures.max_difference < CLOSE


def test_what_streams_through_is_what_transformers_computes(tmp_path: Path) -> None:
    trained = workshop.train(tmp_path)
    ids = torch.tensor([PROMPTS["長い"]])
    with reader.open_folder(trained.base, "base_model") as base:
        model = streamed.dense(trained.base, base)
        hidden = model.hidden(ids, lambda _number, given, run: run(given))
        windows = [model.logits(ids, hidden, start, min(start + 10, 97)) for start in range(0, 97, 10)]
        with torch.no_grad():
            expected = workshop.plain(trained.base)(input_ids=ids).logits

    torch.testing.assert_close(torch.cat(windows, -1), expected, rtol=0, atol=1e-5)


def test_free_gates_are_baked_as_the_nearest_rotations_and_both_figures_are_to_be_had(tmp_path: Path) -> None:
    trained = workshop.train(tmp_path, kind="free")
    workshop.merge_it(trained)
    baked = workshop.bake_it(trained)

    assert compared(trained, baked, with_gates=False, kind="projected").figures.max_difference < CLOSE
    as_trained = compared(trained, baked, with_gates=False)
    assert 1e-4 < as_trained.figures.max_difference < 0.5
    assert [name for name, off in as_trained.layers.items() if off > CLOSE] == ["model.layers.1", "model.layers.2"]


def test_one_rounding_is_nearer_than_two(tmp_path: Path) -> None:
    """Baked from what was merged and rounded, a projection loses half as much again."""
    trained = workshop.train(tmp_path, dtype="bfloat16")
    merged = workshop.weights(workshop.merge_it(trained))
    baked = workshop.weights(workshop.bake_it(trained))
    name = "model.layers.1.self_attn.o_proj.weight"
    matrix = torch.block_diag(*trained.gates.matrices()[name])
    module = trained.model.base_model.model.model.layers[1].self_attn.o_proj
    exact = ((module.base_layer.weight.double() + module.get_delta_weight("default").double()) @ matrix).detach()

    once, twice = baked[name].double() - exact, (merged[name].double() @ matrix).bfloat16().double() - exact
    assert float(once.norm() / exact.norm()) < 0.8 * float(twice.norm() / exact.norm())
    torch.testing.assert_close(baked[name], exact.bfloat16(), rtol=2**-8, atol=0)  # at most one unit in the last place
