"""A checkpoint is what its config says, or the message names the file and the tensor."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from so8t.errors import StageError
from so8t.models import checkpoint
from so8t.models.checkpoint import INDEX, SINGLE, Checkpoint


@pytest.fixture
def folder(pico: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pico, tmp_path / "model")


def refusal(folder: Path) -> str:
    with pytest.raises(StageError) as caught:
        checkpoint.verify(folder)
    return str(caught.value)


def rewrite(folder: Path, **changed: torch.Tensor | None) -> None:
    """Other tensors, or none, under the names given with __ for dots."""
    tensors = load_file(folder / SINGLE)
    for name, tensor in changed.items():
        if tensor is None:
            del tensors[name.replace("__", ".")]
        else:
            tensors[name.replace("__", ".")] = tensor
    save_file(tensors, str(folder / SINGLE), metadata={"format": "pt"})


def edit(path: Path, **changed: Any) -> None:
    values = {**json.loads(path.read_text("utf-8")), **changed}
    path.write_text(json.dumps({key: value for key, value in values.items() if value is not ...}), "utf-8")


def shard(folder: Path) -> dict[str, str]:
    """The same weights in two shards with their index."""
    tensors = load_file(folder / SINGLE)
    names = sorted(tensors)
    places = {name: f"model-0000{1 + (at % 2)}-of-00002.safetensors" for at, name in enumerate(names)}
    for file in sorted(set(places.values())):
        save_file({name: tensors[name] for name in names if places[name] == file}, str(folder / file))
    (folder / SINGLE).unlink()
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}), "utf-8")
    return places


def test_a_good_folder_passes_with_its_facts(folder: Path) -> None:
    assert checkpoint.verify(folder) == Checkpoint("Phi3ForCausalLM", 15, 39328, ("F32",), 420)


def test_shards_with_their_index_pass_too(folder: Path) -> None:
    shard(folder)

    assert checkpoint.verify(folder).tensors == 15


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.PTH", "last.ckpt"])
def test_a_pickle_is_refused(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"\x80\x04")

    assert refusal(folder) == (
        f"base_model: {name} is a pickle, which can run code when it is read; "
        "only safetensors are taken: convert the weights first"
    )


def test_a_tensor_of_another_shape_is_named_with_both_shapes(folder: Path) -> None:
    rewrite(folder, model__layers__1__mlp__down_proj__weight=torch.zeros(32, 40))

    assert refusal(folder) == (
        "base_model: the weights are not what config.json says: "
        "model.layers.1.mlp.down_proj.weight in model.safetensors has shape [32, 40], the config demands [32, 32]"
    )


def test_missing_and_foreign_tensors_are_named(folder: Path) -> None:
    rewrite(folder, model__norm__weight=None, lm_head__bias=torch.zeros(420))

    assert refusal(folder) == (
        "base_model: the weights are not what config.json says: model.norm.weight is missing; "
        "lm_head.bias in model.safetensors does not belong to this architecture"
    )


def test_many_problems_are_counted(folder: Path) -> None:
    edit(folder / "config.json", num_hidden_layers=4)

    assert refusal(folder).endswith("model.layers.2.self_attn.o_proj.weight is missing; and 7 more")


def test_weights_that_are_no_floats_are_refused(folder: Path) -> None:
    rewrite(folder, model__norm__weight=torch.zeros(32, dtype=torch.int8))

    assert "model.norm.weight in model.safetensors holds I8; it must be one of BF16, F16, F32, F64" in refusal(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_is_refused(folder: Path, value: float) -> None:
    weight = load_file(folder / SINGLE)["model.embed_tokens.weight"]
    weight[3, 4] = value
    rewrite(folder, model__embed_tokens__weight=weight)

    assert refusal(folder) == (
        "base_model: model.embed_tokens.weight in model.safetensors has 1 values that are infinite or NaN"
    )


def test_a_truncated_file_is_named(folder: Path) -> None:
    data = (folder / SINGLE).read_bytes()
    (folder / SINGLE).write_bytes(data[:-100])

    assert refusal(folder).startswith("base_model: model.safetensors is not a complete safetensors file: ")


def test_a_folder_without_weights_or_with_two_kinds_is_refused(folder: Path, pico: Path) -> None:
    shard(folder)
    shutil.copy(pico / SINGLE, folder / SINGLE)
    assert refusal(folder) == (
        f"base_model: there is model.safetensors and also {INDEX}: which holds the weights? remove one"
    )
    (folder / SINGLE).unlink()
    (folder / INDEX).unlink()
    assert refusal(folder) == (
        "base_model: no weights: neither model.safetensors nor model.safetensors.index.json with its shards is there"
    )


def test_an_index_that_lies_is_refused(folder: Path) -> None:
    places = shard(folder)
    first, second = sorted(set(places.values()))
    name = next(name for name, file in places.items() if file == first)

    def told(**changed: str) -> str:
        (folder / INDEX).write_text(json.dumps({"weight_map": {**places, **changed}}), "utf-8")
        return refusal(folder)

    assert told(**{name: second}) == f"base_model: {INDEX} says that {name} is in {second}, and it is not"
    assert told(**{name: "gone.safetensors"}) == f"base_model: {INDEX} names gone.safetensors, which is missing"
    assert told(**{name: "../model.safetensors"}) == (
        f"base_model: {INDEX} names '../model.safetensors', which is not a safetensors file of the same folder"
    )
    (folder / INDEX).write_text(json.dumps({"weight_map": {k: v for k, v in places.items() if k != name}}), "utf-8")
    assert refusal(folder) == f"base_model: {first} holds {name}, which {INDEX} does not name"
    (folder / INDEX).write_text("[]", "utf-8")
    assert refusal(folder) == f"base_model: {INDEX} holds no JSON object"


def test_a_shard_that_the_index_does_not_name_is_refused(folder: Path, pico: Path) -> None:
    shard(folder)
    shutil.copy(pico / SINGLE, folder / "adapter.safetensors")

    assert refusal(folder) == (
        f"base_model: {INDEX} does not name adapter.safetensors: it belongs to something else; remove it"
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"architectures": ...}, "base_model: config.json names no architecture: "),
        (
            {"architectures": ["LlamaForCausalLM"]},
            "base_model: config.json says LlamaForCausalLM, its model_type is a ",
        ),
        ({"model_type": "nosuch"}, "base_model: config.json cannot be used: "),
        (
            {"quantization_config": {"quant_method": "bitsandbytes"}},
            "base_model: config.json says that the weights are ",
        ),
        ({"vocab_size": 400}, "base_model: the weights are not what config.json says: "),
    ],
)
def test_a_config_that_does_not_hold_is_refused(folder: Path, changed: dict[str, Any], message: str) -> None:
    edit(folder / "config.json", **changed)

    assert refusal(folder).startswith(message)


def test_a_config_that_is_no_json_is_named(folder: Path) -> None:
    (folder / "config.json").write_text("{", "utf-8")

    assert refusal(folder).startswith("base_model: config.json is not JSON: ")


def test_a_tokenizer_is_demanded(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{}", "utf-8")
    assert refusal(folder).startswith("base_model: the tokenizer cannot be read: ")
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.model").unlink()
    assert refusal(folder) == "base_model: no tokenizer: neither tokenizer.json nor tokenizer.model is there"


@pytest.mark.parametrize("tie", [True, False])
@pytest.mark.parametrize("kind", ["llama", "qwen2", "qwen3", "mistral", "gemma2"])
def test_other_families_pass_with_tied_weights_or_without(folder: Path, kind: str, tie: bool) -> None:
    config = AutoConfig.for_model(
        kind,
        vocab_size=420,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=24,
        max_position_embeddings=64,
        tie_word_embeddings=tie,
        pad_token_id=3,
    )
    AutoModelForCausalLM.from_config(config).to(torch.bfloat16).save_pretrained(folder)

    found = checkpoint.verify(folder)

    assert found.dtypes == ("BF16",)
    assert ("lm_head.weight" in checkpoint.headers(folder)) is not tie
