"""A base from a GGUF: bit for bit the weights of the file, and the tokens and logits that llama.cpp has."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from pydantic import ValidationError
from safetensors.torch import load_file
from transformers import AutoConfig

from so8t.engine.stage import Inputs, Source
from so8t.errors import StageError
from so8t.gguf import base, foreign, foreignconfig, foreigntokens, layout, proven, writer
from so8t.gguf.metadata import Provenance
from stages import base_model
from tests.gguf import folders

pytestmark = pytest.mark.slow

SHIFTED = 2**-24  # Gemma's norms are stored plus 1: what float32 cannot hold beside that 1 was lost in the GGUF


def convert(folder: Path, target: Path, kind: str, name: str = "pico") -> Path:
    """The GGUF of a checkpoint, by our own converter."""
    source = layout.open_source(folder)
    writer.write(source, target, kind, Provenance(name), layout.read_vocabulary(source, folders.MARKERS))
    return target


def tensors(path: Path) -> dict[str, np.ndarray]:
    return {name: tensor.data for name, tensor in foreign.open_file(path).tensors.items()}


def metadata(path: Path) -> dict[str, Any]:
    found = dict(foreign.open_file(path).metadata)
    del found["GGUF.kv_count"]
    return found


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GGUF that tests may copy and change."""
    folder = tmp_path_factory.mktemp("llama")
    return convert(folders.build("llama", folder / "model"), folder / "pico.gguf", "f32")


@pytest.mark.parametrize("kind", ["f32", "f16"])
@pytest.mark.parametrize("name", sorted(folders.FAMILIES))
def test_the_way_to_a_gguf_and_back_keeps_every_bit(name: str, kind: str, tmp_path: Path) -> None:
    folder = folders.build(name, tmp_path / "model", {"f16": "float16"}.get(kind, "float32"))
    file = convert(folder, tmp_path / "pico.gguf", kind)

    told = base.take(file, tmp_path / "taken")
    again = convert(tmp_path / "taken", tmp_path / "again.gguf", kind)

    assert told["lossy"] is False
    before, after = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "taken"))
    assert before.keys() == after.keys()
    for tensor, values in before.items():
        if name.startswith("gemma") and tensor.endswith("norm.weight"):
            assert (values.float() - after[tensor]).abs().max() <= SHIFTED
        else:
            assert torch.equal(values.to(after[tensor].dtype), after[tensor]), tensor
    was, is_now = tensors(file), tensors(again)
    assert was.keys() == is_now.keys()
    assert all(np.array_equal(was[tensor], is_now[tensor]) for tensor in was)
    assert metadata(file) == metadata(again)


def test_the_config_says_what_the_models_own_said(tmp_path: Path) -> None:
    folder = folders.build("phi3-long", tmp_path / "model")
    base.take(convert(folder, tmp_path / "pico.gguf", "f32"), tmp_path / "taken")

    before, after = (AutoConfig.from_pretrained(str(path)).to_dict() for path in (folder, tmp_path / "taken"))
    apart = ("rope_parameters", "_name_or_path", "pad_token_id")  # a GGUF has the tokenizer's padding
    kept = {key: value for key, value in before.items() if key not in apart}
    assert {key: after[key] for key in kept} == {**kept, "rms_norm_eps": float(np.float32(1e-5))}
    rope = before["rope_parameters"]
    assert (
        after["rope_parameters"].items()
        >= {
            **{key: rope[key] for key in ("rope_type", "rope_theta", "partial_rotary_factor")},
            **{key: np.float32(rope[key]).tolist() for key in ("long_factor", "short_factor")},
        }.items()
    )


@pytest.mark.slow
@pytest.mark.parametrize(("name", "kind"), [("llama3", "f32"), ("phi3-long", "f16")])
def test_pytorch_reads_and_computes_what_llama_cpp_does(name: str, kind: str, tmp_path: Path) -> None:
    file = convert(folders.build(name, tmp_path / "model"), tmp_path / "pico.gguf", kind)
    told = base.take(file, tmp_path / "taken")

    figures = proven.check(file, tmp_path / "taken", told, (), "float32", 1)

    assert figures.kl < 1e-7
    assert figures.top1 > 0.99


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "q8_0"])
@pytest.mark.parametrize("name", sorted(folders.FAMILIES))
def test_every_family_and_type_computes_what_llama_cpp_does(name: str, kind: str, tmp_path: Path) -> None:
    file = convert(folders.build(name, tmp_path / "model"), tmp_path / "pico.gguf", kind)
    told = base.take(file, tmp_path / "taken")
    accept = ("decomposed",) if name == "qwen2" else ()  # transformers composes letters for every Qwen 2

    figures = proven.check(file, tmp_path / "taken", told, accept, "float32", 1)

    assert figures.kl < {"f32": 1e-7, "f16": 1e-6, "bf16": 1e-5, "q8_0": 1e-4}[kind]


def test_a_quantised_file_is_marked_lossy_and_gives_the_values_that_it_stands_for(tmp_path: Path) -> None:
    folder = folders.build("llama", tmp_path / "model")
    file = convert(folder, tmp_path / "pico.gguf", "q8_0")

    told = base.take(file, tmp_path / "taken")

    assert told == {"lossy": True, "types": {"F32": 13, "Q8_0": 16}}
    before, after = (load_file(path / "model.safetensors") for path in (folder, tmp_path / "taken"))
    name = "model.layers.0.mlp.down_proj.weight"
    step = before[name].abs().view(64, -1, 32).amax(2, keepdim=True) / 127  # of each block
    error = (before[name] - after[name]).abs().view(64, -1, 32)
    assert after[name].dtype == torch.float32
    assert 0 < (error / step).max() < 0.57  # half a step, and the step itself is rounded to float16


def test_role_tokens_swallow_white_space_where_the_files_name_says_so(tmp_path: Path) -> None:
    folder = folders.build("phi3", tmp_path / "model")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        text = (folder / name).read_text("utf-8")
        (folder / name).write_text(text.replace('"rstrip": false', '"rstrip": true'), "utf-8")
    file = convert(folder, tmp_path / "pico.gguf", "f16")

    base.take(file, tmp_path / "taken")

    assert foreign.open_file(file).metadata["general.name"] == "pico (phi-3)"
    added = json.loads((tmp_path / "taken" / "tokenizer.json").read_bytes())["added_tokens"]
    kept = [entry["content"] for entry in added if not entry["rstrip"]]
    assert kept == ["<unk>", "<s>", "<|endoftext|>"]


def test_the_stage_takes_a_gguf_proves_it_and_marks_it(llama: Path, tmp_path: Path, capfd) -> None:
    inputs = Inputs({}, {"checkpoint": (Source("models/pico.gguf", llama),)})
    spec = base_model.Spec(source={"kind": "gguf", "path": "models/pico.gguf"})

    assert base_model.STAGE.sources is not None
    assert base_model.STAGE.sources(spec) == {"checkpoint": ["models/pico.gguf"]}
    base_model.build(inputs, tmp_path, spec)

    assert json.loads((tmp_path / "base.json").read_bytes()) == {
        "source": "gguf",
        "remote_code": False,
        "architecture": "LlamaForCausalLM",
        "tensors": 29,
        "parameters": 113344,
        "dtypes": ["F32"],
        "vocab_size": 400,
        "gguf": {"lossy": False, "types": {"F32": 29}},
    }
    assert "base_model: models/pico.gguf: exactly its weights; against llama.cpp 2,000 texts give equal tokens, " in (
        capfd.readouterr().err
    )


# ---- what is refused -------------------------------------------------------------------------------------------


def edited(file: Path, target: Path, drop: str = "", **values: Any) -> Path:
    """The same metadata and tensors, but for what is dropped and given, with __ for dots."""
    reader = GGUFReader(str(file))
    arch = reader.fields["general.architecture"].contents()
    made = GGUFWriter(str(target), arch)
    changed = {key.replace("__", "."): value for key, value in values.items()}
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", drop) or key in changed:
            continue
        inner = field.types[1] if field.types[0] == GGUFValueType.ARRAY else None
        made.add_key_value(key, field.contents(), field.types[0], inner)
    for key, value in changed.items():
        kind = GGUFValueType.UINT32 if isinstance(value, int) else GGUFValueType.STRING
        made.add_key_value(key, value, kind)
    for tensor in reader.tensors:
        if tensor.name != drop:
            made.add_tensor(tensor.name, tensor.data)
    made.write_header_to_file()
    made.write_kv_data_to_file()
    made.write_tensors_to_file()
    made.close()
    return target


def refusal(file: Path, folder: Path) -> str:
    with pytest.raises(StageError) as caught:
        base.take(file, folder)
    return str(caught.value)


def test_metadata_that_a_config_cannot_say_are_refused_by_name(llama: Path, tmp_path: Path) -> None:
    file = edited(llama, tmp_path / "pico.gguf", llama__expert_count=8)

    assert refusal(file, tmp_path / "taken") == (
        "base_model: pico.gguf says llama.expert_count: 8, and a config.json cannot say so here (it gives None): "
        "take the safetensors of this model"
    )


def test_what_follows_from_other_keys_may_be_left_out(llama: Path, tmp_path: Path) -> None:
    file = edited(llama, tmp_path / "pico.gguf", drop="llama.attention.key_length", llama__expert_count=0)

    assert base.take(file, tmp_path / "taken")["lossy"] is False


def test_a_missing_key_a_foreign_tensor_and_another_way_of_cutting_are_named(llama: Path, tmp_path: Path) -> None:
    short = edited(llama, tmp_path / "short.gguf", drop="llama.block_count")
    assert refusal(short, tmp_path / "one") == (
        "base_model: short.gguf has no llama.block_count, or it is not a number"
    )
    words = edited(llama, tmp_path / "words.gguf", tokenizer__ggml__model="bert")
    assert refusal(words, tmp_path / "two") == (
        "base_model: words.gguf has a tokenizer of the kind 'bert'; it must be llama or gpt2"
    )
    cut = edited(llama, tmp_path / "cut.gguf", tokenizer__ggml__model="gpt2", tokenizer__ggml__pre="falcon")
    assert refusal(cut, tmp_path / "three") == (
        "base_model: cut.gguf cuts texts by the way that llama.cpp calls 'falcon'; known here are "
        f"{', '.join(foreigntokens.CUTS)}: take the safetensors of this model"
    )


def test_a_file_that_is_no_whole_gguf_is_named_with_what_to_do(llama: Path, tmp_path: Path) -> None:
    pointer = tmp_path / "pointer.gguf"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\n", "utf-8")
    assert refusal(pointer, tmp_path / "one") == (
        "base_model: pointer.gguf does not begin as a GGUF does; if it is a Git LFS pointer, "
        "run `git lfs pull` in its folder, or download it with `hf download`"
    )
    half = tmp_path / "half.gguf"
    half.write_bytes(llama.read_bytes()[: llama.stat().st_size // 2])
    message = refusal(half, tmp_path / "two")
    assert message.startswith("base_model: half.gguf is not a whole GGUF: ")
    assert message.endswith("; download it again (hf download goes on where it stopped)")
    part = edited(llama, tmp_path / "part.gguf", split__count=3)
    assert refusal(part, tmp_path / "three") == (
        "base_model: part.gguf is one of 3 parts of a GGUF: join them with `llama-gguf-split --merge`, "
        "and name the whole file"
    )


def test_an_architecture_without_a_table_is_refused(llama: Path) -> None:
    found = foreign.open_file(llama)
    other = foreign.Foreign(found.path, {**found.metadata, "general.architecture": "mamba"}, found.tensors)

    with pytest.raises(StageError) as caught:
        foreignconfig.architecture(other)
    assert str(caught.value) == (
        "base_model: pico.gguf has the architecture mamba; "
        "it must be one of phi3, llama, qwen2, qwen3, gemma, gemma2, gemma3"
    )


@pytest.mark.slow
def test_a_tokenizer_or_weights_that_differ_from_the_files_are_not_published(llama: Path, tmp_path: Path) -> None:
    told = base.take(llama, tmp_path / "words")
    shutil.copytree(tmp_path / "words", tmp_path / "weights")
    document = json.loads((tmp_path / "words" / "tokenizer.json").read_bytes())
    document["model"]["merges"] = document["model"]["merges"][:1]
    (tmp_path / "words" / "tokenizer.json").write_text(json.dumps(document), "utf-8")
    config = json.loads((tmp_path / "weights" / "config.json").read_bytes())
    config["rope_parameters"]["rope_theta"] = 20.0
    (tmp_path / "weights" / "config.json").write_text(json.dumps(config), "utf-8")

    with pytest.raises(StageError) as of_words:
        proven.check(llama, tmp_path / "words", told, (), "float32", 1)
    with pytest.raises(StageError) as of_weights:
        proven.check(llama, tmp_path / "weights", told, (), "float32", 1)

    assert str(of_words.value).startswith("base_model: transformers does not read '")
    assert str(of_words.value).endswith(
        "\naccept the kind (source.accept in base_model.yaml), or take the safetensors of this model"
    )
    assert str(of_weights.value).startswith(
        "base_model: PyTorch does not compute from the folder what llama.cpp computes from pico.gguf: "
    )


def test_names_of_files_and_folders_are_not_mixed_up() -> None:
    with pytest.raises(ValidationError, match=r"must be a file that ends in \.gguf, and models/phi does not: "):
        base_model.Spec(source={"kind": "gguf", "path": "models/phi"})
    with pytest.raises(ValidationError, match=r"phi\.gguf is a GGUF: write \{kind: gguf, path: models/phi\.gguf\}"):
        base_model.Spec(source={"kind": "local", "path": "models/phi.gguf"})
