"""What people have in place of a checkpoint is named, with what to do, before a file is copied."""

import json
import shutil
from pathlib import Path

import pytest

from so8t.errors import StageError
from so8t.models import folder as folders
from so8t.models.checkpoint import INDEX, SINGLE

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 4987202208\n"


@pytest.fixture
def folder(pico: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pico, tmp_path / "phi")


def refusal(folder: Path) -> str:
    target = folder.parent / "taken"
    with pytest.raises(StageError) as caught:
        folders.take({path.name: path for path in folder.iterdir() if path.is_file()}, target, False, "models/phi")
    assert not target.exists()
    return str(caught.value)


def test_a_git_lfs_pointer_is_not_a_file(folder: Path) -> None:
    (folder / SINGLE).write_text(POINTER, "utf-8")
    assert refusal(folder) == (
        "base_model: models/phi: model.safetensors is a Git LFS pointer, a few lines in place of the file: "
        "run `git lfs pull` in that folder, or download the repository with `hf download`"
    )
    (folder / "tokenizer.model").write_text(POINTER, "utf-8")
    assert ": model.safetensors is a Git LFS pointer, a few lines in place of the file (one of 2): " in refusal(folder)


@pytest.mark.parametrize("ending", [".incomplete", ".part", ".crdownload"])
def test_a_download_that_did_not_finish_is_named(folder: Path, ending: str) -> None:
    (folder / SINGLE).rename(folder / f"{SINGLE}{ending}")

    assert refusal(folder) == (
        f"base_model: models/phi: model.safetensors{ending} is a download that did not finish: "
        "download it again (hf download goes on where it stopped), or remove it"
    )


def test_a_folder_that_hf_download_has_not_filled_yet_is_known(folder: Path) -> None:
    waiting = folder / ".cache" / "huggingface" / "download"
    waiting.mkdir(parents=True)
    (folder / SINGLE).rename(waiting / "wHqRv7.3f1a.incomplete")

    assert refusal(folder) == (
        "base_model: models/phi has no weights yet: the download did not finish; "
        "download it again (hf download goes on where it stopped)"
    )


def test_a_shard_that_the_index_names_must_be_there(folder: Path) -> None:
    places = {"a": "model-00001-of-00003.safetensors", "b": "model-00002-of-00003.safetensors"}
    (folder / SINGLE).rename(folder / places["a"])
    (folder / INDEX).write_text(json.dumps({"weight_map": places}), "utf-8")
    assert refusal(folder) == (
        "base_model: models/phi lacks model-00002-of-00003.safetensors, which model.safetensors.index.json names: "
        "the download did not finish; download it again (hf download goes on where it stopped)"
    )
    places["c"] = "model-00003-of-00003.safetensors"
    (folder / INDEX).write_text(json.dumps({"weight_map": places}), "utf-8")
    assert " lacks model-00002-of-00003.safetensors and 1 more, which " in refusal(folder)


@pytest.mark.parametrize("kept", [100, 20_000])
def test_a_file_shorter_than_its_header_says_is_named(folder: Path, kept: int) -> None:
    data = (folder / SINGLE).read_bytes()
    (folder / SINGLE).write_bytes(data[:kept])
    header = 8 + int.from_bytes(data[:8], "little")
    whole = header if kept < header else len(data)

    assert refusal(folder) == (
        f"base_model: models/phi: model.safetensors has {kept:,} of {whole:,} bytes: the download or the copy did not "
        "finish; download it again (hf download goes on where it stopped)"
    )


@pytest.mark.parametrize(
    ("method", "told"),
    [
        ({"quant_method": "gptq", "bits": 4}, "(quantization_config: gptq)"),
        ({"quant_method": "awq", "bits": 4}, "(quantization_config: awq)"),
        ({}, "(quantization_config)"),
    ],
)
def test_a_quantised_checkpoint_is_refused_by_its_method(folder: Path, method: dict[str, object], told: str) -> None:
    config = json.loads((folder / "config.json").read_text("utf-8"))
    (folder / "config.json").write_text(json.dumps({**config, "quantization_config": method}), "utf-8")

    assert refusal(folder) == (
        f"base_model: models/phi: config.json says that the weights are quantised {told}; a base must be in full "
        "precision, for adapters and gates are merged into its weights: take the 16-bit checkpoint that this one was "
        "made from, and quantise in the adapter's spec (quantise: int8 or nf4)"
    )


def test_an_older_gptq_checkpoint_is_known_by_its_other_file(folder: Path) -> None:
    (folder / SINGLE).rename(folder / "gptq_model-4bit-128g.safetensors")
    (folder / "quantize_config.json").write_text('{"bits": 4}', "utf-8")

    assert refusal(folder).startswith(
        "base_model: models/phi: quantize_config.json says that the weights are quantised (quantization_config); "
    )


def test_an_adapter_is_not_a_base(folder: Path) -> None:
    (folder / SINGLE).rename(folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text("{}", "utf-8")

    assert refusal(folder) == (
        "base_model: models/phi is a LoRA adapter and not a base: name the model that it was trained on"
    )
