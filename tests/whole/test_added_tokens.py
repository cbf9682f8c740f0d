"""Tokens that a base is given, through the whole graph: learned as rows, merged, baked, converted, and asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from so8t.gguf.llamacpp import Model
from tests.whole.pico_models import Chain, changed

TOKENS = ["<memo>", "</memo>"]
TABLES = ("model.embed_tokens.weight", "lm_head.weight")


@pytest.mark.soak
def test_added_tokens_learn_and_reach_every_file(tmp_path: Path, root: Path) -> None:
    chain = Chain(tmp_path / "p", root, {})

    said = chain.doit_with(changed("base_model", "tokens", TOKENS))

    assert said.code == 0, said.err
    assert "base_model: Phi3ForCausalLM, " in said.err and ", 2 tokens added, verified" in said.err
    base, merged, baked = (
        load_file(chain.folder(stage) / "model" / "model.safetensors")
        for stage in ("base_model", "merged_model", "baked_model")
    )
    numbers = json.loads((chain.folder("base_model") / "base.json").read_bytes())["added"]
    assert list(numbers) == TOKENS and set(numbers.values()) == {512, 513}
    for table in TABLES:
        moved = (base[table] != merged[table]).any(1).nonzero().flatten().tolist()
        assert set(moved) <= set(numbers.values())
        assert torch.equal(merged[table], baked[table])
    assert (base["lm_head.weight"][512:] != merged["lm_head.weight"][512:]).any(1).all()  # every step pushes them down
    with Model(chain.folder("gguf") / "models" / f"{_name(chain)}-f16.gguf", context=8) as engine:
        assert [engine.tokenize(text, True) for text in TOKENS] == [[512], [513]]
    splits = json.loads((chain.folder("evaluation") / "scores.json").read_bytes())["splits"]
    assert splits and all(set(models) == {"base", "f16", "q8_0"} for models in splits.values())


def _name(chain: Chain) -> str:
    (found,) = (chain.folder("gguf") / "models").glob("*-f16.gguf")
    return found.name.removesuffix("-f16.gguf")
