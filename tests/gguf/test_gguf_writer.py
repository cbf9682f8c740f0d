"""What a GGUF of ours holds; the literal values are those of llama.cpp's own converter on the same folder."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest
import torch
from blake3 import blake3
from safetensors.torch import load_file, save_file

from so8t.errors import StageError
from so8t.gguf import layout, llamacpp, writer
from so8t.gguf.metadata import Provenance
from so8t.stream.pipeline import Written
from tests.gguf import folders

PICO = Provenance("pico")


def write(folder: Path, target: Path, kind: str = "f16", origin: Provenance = PICO, chunk: int = 1 << 18) -> Path:
    source = layout.open_source(folder)
    writer.write(source, target, kind, origin, layout.read_vocabulary(source, folders.MARKERS), chunk)
    return target


def keys(path: Path) -> dict[str, Any]:
    fields = gguf.GGUFReader(path).fields
    return {name: field.contents() for name, field in fields.items() if not name.startswith("GGUF.")}


@pytest.mark.parametrize("kind", ["f16", "q8_0"])
def test_the_digests_are_those_of_the_file(phi3: Path, tmp_path: Path, kind: str) -> None:
    source = layout.open_source(phi3)
    made = writer.write(source, tmp_path / "out.gguf", kind, PICO, layout.read_vocabulary(source, folders.MARKERS))

    data = (tmp_path / "out.gguf").read_bytes()
    assert made.digests == Written(len(data), blake3(data).hexdigest(), hashlib.sha256(data).hexdigest())


def test_phi3_says_what_llama_cpps_converter_says(phi3_f16: Path) -> None:
    found = keys(phi3_f16)
    arrays = {name: found.pop(f"tokenizer.ggml.{name}") for name in ("tokens", "scores", "token_type")}
    template = found.pop("tokenizer.chat_template")

    assert found == {
        "general.architecture": "phi3",
        "general.type": "model",
        "general.name": "pico",
        "general.size_label": "113K",
        "phi3.context_length": 128,
        "phi3.rope.scaling.original_context_length": 128,
        "phi3.embedding_length": 64,
        "phi3.feed_forward_length": 96,
        "phi3.block_count": 2,
        "phi3.attention.head_count": 4,
        "phi3.attention.head_count_kv": 2,
        "phi3.attention.layer_norm_rms_epsilon": pytest.approx(1e-5),
        "phi3.rope.dimension_count": 16,
        "phi3.rope.freq_base": 10000.0,
        "phi3.attention.sliding_window": 48,
        "general.file_type": 1,
        "general.quantization_version": 2,
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.pre": "default",
        "tokenizer.ggml.add_space_prefix": False,  # ours: llama.cpp takes silence for yes
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 3,
        "tokenizer.ggml.unknown_token_id": 0,
        "tokenizer.ggml.padding_token_id": 3,
        "tokenizer.ggml.add_bos_token": False,
        "tokenizer.ggml.add_eos_token": False,
    }
    assert template.startswith("{%- set found")
    assert arrays["tokens"][:14] == [
        *("<unk>", "<s>", "</s>", "<|endoftext|>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>"),
        *("<think-task>", "</think-task>", "<final>", "</final>", "<0x00>", "<0x01>"),
    ]
    assert arrays["token_type"][:14] == [3, 3, 3, 3, 3, 3, 3, 3, 4, 4, 4, 4, 6, 6]
    assert (arrays["tokens"][-1], arrays["token_type"][-1], arrays["scores"][-1]) == ("[PAD399]", 5, -10000.0)


def test_phi3_keeps_its_fused_tensors_and_float32_norms(phi3_f16: Path) -> None:
    tensors = {
        tensor.name: (tensor.tensor_type.name, tensor.shape.tolist()) for tensor in gguf.GGUFReader(phi3_f16).tensors
    }

    assert {name: value for name, value in tensors.items() if not name.startswith("blk.1.")} == {
        "output.weight": ("F16", [64, 400]),
        "token_embd.weight": ("F16", [64, 400]),
        "blk.0.attn_norm.weight": ("F32", [64]),
        "blk.0.ffn_down.weight": ("F16", [96, 64]),
        "blk.0.ffn_up.weight": ("F16", [64, 192]),
        "blk.0.ffn_norm.weight": ("F32", [64]),
        "blk.0.attn_output.weight": ("F16", [64, 64]),
        "blk.0.attn_qkv.weight": ("F16", [64, 128]),
        "output_norm.weight": ("F32", [64]),
    }


def test_the_long_context_variant_brings_its_factors(tmp_path: Path) -> None:
    path = write(folders.build("phi3-long", tmp_path / "model"), tmp_path / "long.gguf")
    tensors = {tensor.name: tensor.data for tensor in gguf.GGUFReader(path).tensors}

    np.testing.assert_allclose(tensors["rope_factors_long.weight"], [1.0 + 0.5 * at for at in range(8)])
    np.testing.assert_allclose(tensors["rope_factors_short.weight"], [1.0 + 0.1 * at for at in range(8)])
    assert keys(path)["phi3.rope.scaling.attn_factor"] == pytest.approx(1.118034)  # sqrt(1 + ln 4 / ln 256)


def test_a_tied_output_is_left_out(tmp_path: Path) -> None:
    path = write(folders.build("phi3-tied", tmp_path / "model"), tmp_path / "tied.gguf")

    assert "output.weight" not in {tensor.name for tensor in gguf.GGUFReader(path).tensors}


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_size_of_a_chunk(phi3: Path, tmp_path: Path) -> None:
    for kind in ("f16", "q8_0", "bf16", "f32"):
        small, large = (write(phi3, tmp_path / f"{kind}-{chunk}", kind, chunk=chunk) for chunk in (100, 1 << 20))
        assert small.read_bytes() == large.read_bytes()


def test_q8_0_is_llama_cpps_own_bit_for_bit(tmp_path: Path) -> None:
    folder = folders.build("phi3", tmp_path / "model", "float16")  # float16 holds these weights exactly
    ours = write(folder, tmp_path / "ours.gguf", "q8_0")
    llamacpp.quantize(write(folder, tmp_path / "f16.gguf"), tmp_path / "theirs.gguf", 7, threads=1)

    ours_data, theirs_data = (
        {tensor.name: (tensor.tensor_type, tensor.data.tobytes()) for tensor in gguf.GGUFReader(path).tensors}
        for path in (ours, tmp_path / "theirs.gguf")
    )
    assert ours_data == theirs_data


def test_provenance_is_in_the_file(phi3: Path, tmp_path: Path) -> None:
    origin = Provenance(
        name="so8t",
        license="apache-2.0",
        base_name="Phi-3.5-mini-instruct",
        base_organization="Microsoft",
        base_url="https://huggingface.co/microsoft/Phi-3.5-mini-instruct",
        datasets=(("thinking_sft/train", "blake3:00"),),
        weights="blake3:11",
        tools=(("gguf", "0.19.0"),),
    )
    found = keys(write(phi3, tmp_path / "so8t.gguf", origin=origin))

    assert {name: value for name, value in found.items() if name.startswith(("general.b", "general.d", "so8t."))} == {
        "general.base_model.count": 1,
        "general.base_model.0.name": "Phi-3.5-mini-instruct",
        "general.base_model.0.organization": "Microsoft",
        "general.base_model.0.repo_url": "https://huggingface.co/microsoft/Phi-3.5-mini-instruct",
        "general.dataset.count": 1,
        "general.dataset.0.name": "thinking_sft/train",
        "general.dataset.0.version": "blake3:00",
        "so8t.weights": "blake3:11",
        "so8t.built_with.gguf": "0.19.0",
    }
    assert found["general.license"] == "apache-2.0"


# ---- what is refused ---------------------------------------------------------------------------------------------


def changed(phi3: Path, folder: Path, name: str, value: torch.Tensor | None) -> Path:
    shutil.copytree(phi3, folder)
    weights = load_file(folder / "model.safetensors")
    if value is None:
        del weights[name]
    else:
        weights[name] = value
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    return folder


def configured(phi3: Path, folder: Path, file: str, **values: Any) -> Path:
    shutil.copytree(phi3, folder)
    path = folder / file
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **values}), "utf-8")
    return folder


QKV = "model.layers.1.self_attn.qkv_proj.weight"


def test_a_weight_that_is_no_number_is_named(phi3: Path, tmp_path: Path) -> None:
    weight = torch.zeros(128, 64)
    weight[100, 3] = float("nan")
    folder = changed(phi3, tmp_path / "model", QKV, weight)

    with pytest.raises(StageError, match=f"gguf: {QKV} holds values that are infinite or NaN"):
        write(folder, tmp_path / "out.gguf")


def test_a_weight_beyond_float16_is_named_with_the_way_out(phi3: Path, tmp_path: Path) -> None:
    folder = changed(phi3, tmp_path / "model", QKV, torch.full((128, 64), 70000.0))

    with pytest.raises(StageError, match=f"gguf: {QKV} has values beyond float16's 65504: take bf16 or f32 in types"):
        write(folder, tmp_path / "out.gguf")
    write(folder, tmp_path / "out.gguf", "bf16")


def test_a_missing_or_foreign_tensor_is_named(phi3: Path, tmp_path: Path) -> None:
    with pytest.raises(StageError, match=r"gguf: the checkpoint lacks what becomes blk.1.attn_qkv.weight"):
        write(changed(phi3, tmp_path / "less", QKV, None), tmp_path / "out.gguf")
    adapter = "base_model.model.model.layers.0.self_attn.qkv_proj.lora_A.weight"
    with pytest.raises(StageError, match=f"gguf: phi3 has no tensor {adapter}; is the model a plain one"):
        write(changed(phi3, tmp_path / "more", adapter, torch.zeros(2, 2)), tmp_path / "out.gguf")


def test_a_truncated_shard_is_named(phi3: Path, tmp_path: Path) -> None:
    shutil.copytree(phi3, tmp_path / "model")
    shard = tmp_path / "model" / "model.safetensors"
    shard.write_bytes(shard.read_bytes()[:-8])

    with pytest.raises(
        StageError, match=r"^gguf: model.safetensors is not a complete safetensors file: .*truncated\?$"
    ):
        layout.open_source(tmp_path / "model")


def test_a_header_that_lies_is_no_safetensors_file(phi3: Path, tmp_path: Path) -> None:
    shutil.copytree(phi3, tmp_path / "model")
    (tmp_path / "model" / "model.safetensors").write_bytes((1 << 60).to_bytes(8, "little") + b"{}")

    with pytest.raises(StageError, match="claims a header of 1,152,921,504,606,846,976 bytes, and the file has"):
        layout.open_source(tmp_path / "model")


def test_an_unknown_architecture_is_refused_with_those_that_are_known(phi3: Path, tmp_path: Path) -> None:
    folder = configured(phi3, tmp_path / "model", "config.json", architectures=["MambaForCausalLM"])

    with pytest.raises(StageError, match="gguf: no table for MambaForCausalLM; there are tables for Gemma2ForCausalLM"):
        layout.open_source(folder)


def test_a_vocabulary_of_another_size_is_refused(phi3: Path, tmp_path: Path) -> None:
    folder = configured(phi3, tmp_path / "rows", "config.json", vocab_size=512)
    with pytest.raises(StageError, match="gguf: vocab_size is 512 and the embedding has 400 rows"):
        layout.read_vocabulary(layout.open_source(folder))

    folder = Path(shutil.copytree(phi3, tmp_path / "words"))
    (folder / "added_tokens.json").write_text('{"<new>": 400}', "utf-8")
    with pytest.raises(StageError, match="gguf: the tokenizer has 401 tokens and the embedding 400 rows"):
        layout.read_vocabulary(layout.open_source(folder))


def test_thinking_tags_that_would_be_hidden_are_refused(phi3: Path) -> None:
    with pytest.raises(StageError, match=r"gguf: <\|end\|> would be CONTROL, and engines do not print those"):
        layout.read_vocabulary(layout.open_source(phi3), ["<think-task>", "<|end|>"])


def test_a_missing_sentencepiece_model_is_missed(tmp_path: Path) -> None:
    folder = folders.build("gemma", tmp_path / "model")
    (folder / "tokenizer.model").unlink()

    with pytest.raises(StageError, match=r"gguf: tokenizer.model is missing; copy it from the base model"):
        layout.read_vocabulary(layout.open_source(folder))


def test_an_unknown_pre_tokenizer_is_refused_and_can_be_named(tmp_path: Path) -> None:
    folder = folders.build("qwen2", tmp_path / "model")
    folders.write_bytes(folder, r"\s+|\S+")
    source = layout.open_source(folder)

    with pytest.raises(StageError, match=r"llama.cpp's name for this pre-tokenizer is not known \(hash .*give it as"):
        layout.read_vocabulary(source)
    assert ("tokenizer.ggml.pre", "qwen2") in [
        (pair.key, pair.value) for pair in layout.read_vocabulary(source, pre_tokenizer="qwen2").pairs
    ]
