"""Merging in 16 bits is PEFT's merge, bit for bit, whatever the adapter's settings; all other files are the base's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from so8t.weights import lora, merge, reader
from tests.weights import workshop
from tests.weights.workshop import Trained

VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {"lora_alpha": 8},
    "patterns": {"rank_pattern": {"o_proj": 8, r"layers\.0\.mlp\.gate_up_proj": 2}, "alpha_pattern": {"mlp.*": 3.5}},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "dora-rslora": {"use_dora": True, "use_rslora": True, "rank_pattern": {"down_proj": 3}},
    "embeddings": {"targets": ["o_proj", "embed_tokens", "lm_head"]},
    "tied": {"targets": ["qkv_proj"], "shape": {"tie_word_embeddings": True}},
}


def merged_by_peft(trained: Trained) -> dict[str, torch.Tensor]:
    from peft import PeftModel

    base = workshop.plain(trained.base)
    made: Any = PeftModel.from_pretrained(base, str(trained.adapter)).merge_and_unload()
    return dict(made.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_sixteen_bits_are_pefts_bit_for_bit(variant: str, dtype: str, tmp_path: Path) -> None:
    trained = workshop.train(tmp_path, dtype=dtype, **VARIANTS[variant])
    merged = workshop.weights(workshop.merge_it(trained))
    expected = merged_by_peft(trained)

    assert merged.keys() == expected.keys() - ({"lm_head.weight"} if variant == "tied" else set())
    assert [name for name, tensor in merged.items() if not torch.equal(tensor, expected[name])] == []
    assert {tensor.dtype for tensor in merged.values()} == {getattr(torch, dtype)}


def test_a_shape_of_several_pieces_and_odd_rows_is_pefts_too(tmp_path: Path) -> None:
    wide = {"hidden_size": 1000, "intermediate_size": 1111, "num_hidden_layers": 1, "vocab_size": 97}
    trained = workshop.train(tmp_path, "llama", dtype="bfloat16", shape=wide, r=16)
    merged = workshop.weights(workshop.merge_it(trained, shard=1 << 30))
    expected = merged_by_peft(trained)

    assert [name for name, tensor in merged.items() if not torch.equal(tensor, expected[name])] == []


def test_whatever_the_workers_and_the_run_the_bytes_are_the_same(tmp_path: Path) -> None:
    trained = workshop.train(tmp_path, dtype="bfloat16")
    for workers in (1, 3):
        with reader.open_folder(trained.base, "base_model") as base:
            adapter = lora.read(trained.adapter, base)
            merge.merge(trained.base, base, adapter, tmp_path / str(workers), 50_000, workers)
            adapter.close()
    files = sorted(path.name for path in (tmp_path / "1").iterdir())

    assert files == sorted(path.name for path in (tmp_path / "3").iterdir())
    assert [
        name for name in files if (tmp_path / "1" / name).read_bytes() != (tmp_path / "3" / name).read_bytes()
    ] == []


def test_tokenizer_and_configuration_travel_byte_for_byte(tmp_path: Path) -> None:
    trained = workshop.train(tmp_path)
    strange = b'{"model_type": "phi3",   "rope_scaling": null}\r\n'
    (trained.base / "tokenizer.model").write_bytes(b"\x00\xff pieces")
    config = (trained.base / "config.json").read_bytes()
    (trained.base / "generation_config.json").write_bytes(strange)
    merged = workshop.merge_it(trained)

    assert (merged / "tokenizer.model").read_bytes() == b"\x00\xff pieces"
    assert (merged / "generation_config.json").read_bytes() == strange
    assert (merged / "config.json").read_bytes() == config


def test_a_head_that_parts_from_its_embeddings_is_stored_and_said(tmp_path: Path) -> None:
    trained = workshop.train(tmp_path, targets=["o_proj", "embed_tokens"], shape={"tie_word_embeddings": True})
    merged = workshop.merge_it(trained)
    before, after = workshop.weights(trained.base), workshop.weights(merged)

    assert "lm_head.weight" not in before
    assert torch.equal(after["lm_head.weight"], before["model.embed_tokens.weight"])
    assert not torch.equal(after["model.embed_tokens.weight"], before["model.embed_tokens.weight"])
    assert json.loads((merged / "config.json").read_text("utf-8"))["tie_word_embeddings"] is False


def test_the_digests_that_are_taken_while_writing_are_the_files(tmp_path: Path) -> None:
    from blake3 import blake3

    trained = workshop.train(tmp_path)
    with reader.open_folder(trained.base, "base_model") as base:
        adapter = lora.read(trained.adapter, base)
        made = merge.merge(trained.base, base, adapter, tmp_path / "merged", workshop.SHARD, 2)
        adapter.close()
    files = {path.name: path.read_bytes() for path in sorted((tmp_path / "merged").glob("*.safetensors"))}

    assert len(files) > 3
    assert {name: (file.size, file.blake3) for name, file in made.files.items()} == {
        name: (len(data), blake3(data).hexdigest()) for name, data in files.items()
    }
    assert (len(made.merged), made.replaced, made.copied, made.untied) == (16, (), 11, False)
