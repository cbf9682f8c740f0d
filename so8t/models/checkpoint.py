"""Whether a folder is a standard checkpoint: every tensor named and shaped as its own config demands.

The model is built on the meta device and compared with the headers of the safetensors files, so that memory
holds one tensor at a time; nothing is unpickled, and code in the folder runs only where `remote_code` says so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so8t.errors import StageError

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
FLOATS = {"F64", "F32", "F16", "BF16"}
_SHOWN = 5  # names in a message


@dataclass(frozen=True)
class Tensor:
    """What a header says; `file` is the shard."""

    file: str
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Checkpoint:
    """What was verified."""

    architecture: str
    tensors: int
    parameters: int
    dtypes: tuple[str, ...]
    vocab_size: int


def verify(folder: Path, remote_code: bool = False) -> Checkpoint:
    check_pickles(folder)
    config = read_config(folder, remote_code)
    have = headers(folder)
    _check_tensors(*_expected(config, remote_code, folder), have)
    _check_values(folder, have)
    _check_tokenizer(folder, config, remote_code)
    return Checkpoint(
        architecture=config.architectures[0],
        tensors=len(have),
        parameters=sum(_size(tensor.shape) for tensor in have.values()),
        dtypes=tuple(sorted({tensor.dtype for tensor in have.values()})),
        vocab_size=config.vocab_size,
    )


def check_pickles(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PICKLES:
            raise StageError(
                f"base_model: {path.name} is a pickle, which can run code when it is read; "
                "only safetensors are taken: convert the weights first"
            )


def read_config(folder: Path, remote_code: bool) -> Any:
    from transformers import AutoConfig

    values = _json(folder / "config.json")
    if not isinstance(values.get("architectures"), list) or not values["architectures"]:
        raise StageError("base_model: config.json names no architecture: `architectures` must hold one, as a list")
    check_precision(values, "config.json")
    try:
        return AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=remote_code)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StageError(f"base_model: config.json cannot be used: {error}") from error


def check_precision(config: Mapping[str, Any], what: str) -> None:
    """`config` is config.json's content."""
    if "quantization_config" in config:
        told = config["quantization_config"]
        method = f": {told['quant_method']}" if isinstance(told, dict) and "quant_method" in told else ""
        raise StageError(
            f"base_model: {what} says that the weights are quantised (quantization_config{method}); a base must be in "
            "full precision, for adapters and gates are merged into its weights: take the 16-bit checkpoint that this "
            "one was made from, and quantise in the adapter's spec (quantise: int8 or nf4)"
        )


# ---- what there is ---------------------------------------------------------------------------------------------


def headers(folder: Path) -> dict[str, Tensor]:
    """Every tensor of every shard, once; the index, if there is one, says the same as the shards."""
    if (folder / INDEX).exists():
        if (folder / SINGLE).exists():
            raise StageError(f"base_model: there is {SINGLE} and also {INDEX}: which holds the weights? remove one")
        return _indexed(folder, _json(folder / INDEX))
    if not (folder / SINGLE).exists():
        raise StageError(f"base_model: no weights: neither {SINGLE} nor {INDEX} with its shards is there")
    return _header(folder, SINGLE)


def _indexed(folder: Path, index: Mapping[str, Any]) -> dict[str, Tensor]:
    places = index.get("weight_map")
    if not isinstance(places, dict) or not places or not all(isinstance(file, str) for file in places.values()):
        raise StageError(f"base_model: {INDEX} has no weight_map from tensors to shards")
    found: dict[str, Tensor] = {}
    for file in sorted(set(places.values())):
        if Path(file).name != file or not file.endswith(".safetensors"):
            raise StageError(f"base_model: {INDEX} names {file!r}, which is not a safetensors file of the same folder")
        if not (folder / file).is_file():
            raise StageError(f"base_model: {INDEX} names {file}, which is missing")
        shard = _header(folder, file)
        if twice := sorted(found.keys() & shard.keys()):
            raise StageError(f"base_model: {twice[0]} stands in {found[twice[0]].file} and again in {file}")
        found |= shard
    for name, file in sorted(places.items()):
        if name not in found or found[name].file != file:
            raise StageError(f"base_model: {INDEX} says that {name} is in {file}, and it is not")
    if extra := sorted(found.keys() - places.keys()):
        raise StageError(f"base_model: {found[extra[0]].file} holds {extra[0]}, which {INDEX} does not name")
    if stray := sorted({path.name for path in folder.glob("*.safetensors")} - set(places.values())):
        raise StageError(f"base_model: {INDEX} does not name {stray[0]}: it belongs to something else; remove it")
    return found


def _header(folder: Path, file: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(folder / file), framework="pt") as shard:
            slices = {name: shard.get_slice(name) for name in shard.keys()}  # noqa: SIM118 - no mapping
            return {name: Tensor(file, tuple(part.get_shape()), str(part.get_dtype())) for name, part in slices.items()}
    except (SafetensorError, OSError) as error:
        raise StageError(f"base_model: {file} is not a complete safetensors file: {error}; get it again") from error


# ---- what there must be ----------------------------------------------------------------------------------------


def _expected(config: Any, remote_code: bool, folder: Path) -> tuple[dict[str, tuple[int, ...]], set[str]]:
    """Name -> shape of every tensor of the architecture, and those that may be left out because they are tied."""
    model = _skeleton(config, remote_code)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    tied = getattr(model, "all_tied_weights_keys", None) or {}
    return shapes, set(tied)


def skeleton(folder: Path, remote_code: bool = False) -> Any:
    """The model of a checkpoint without its weights: every module under its name, on no device."""
    return _skeleton(read_config(folder, remote_code), remote_code)


def _skeleton(config: Any, remote_code: bool) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    try:
        with torch.device("meta"):
            if remote_code:
                model = AutoModelForCausalLM.from_config(config, trust_remote_code=True)
            else:
                model = AutoModelForCausalLM.from_config(config)
    except (ValueError, TypeError, RuntimeError, ZeroDivisionError) as error:
        raise StageError(f"base_model: config.json describes no causal language model: {error}") from error
    declared = config.architectures[0]
    if type(model).__name__ != declared:
        raise StageError(f"base_model: config.json says {declared}, its model_type is a {type(model).__name__}")
    return model


def _check_tensors(expected: Mapping[str, tuple[int, ...]], tied: set[str], have: Mapping[str, Tensor]) -> None:
    problems = [
        f"{name} in {tensor.file} has shape {list(tensor.shape)}, the config demands {list(expected[name])}"
        for name, tensor in sorted(have.items())
        if name in expected and expected[name] != tensor.shape
    ]
    problems += [
        f"{name} in {tensor.file} holds {tensor.dtype}; it must be one of {', '.join(sorted(FLOATS))}"
        for name, tensor in sorted(have.items())
        if tensor.dtype not in FLOATS
    ]
    problems += [f"{name} is missing" for name in sorted(expected.keys() - have.keys() - tied)]
    problems += [
        f"{name} in {have[name].file} does not belong to this architecture"
        for name in sorted(have.keys() - expected.keys())
    ]
    if problems:
        raise StageError(f"base_model: the weights are not what config.json says: {_some(problems)}")


def _check_values(folder: Path, have: Mapping[str, Tensor]) -> None:
    import torch
    from safetensors import safe_open

    for file in sorted({tensor.file for tensor in have.values()}):
        with safe_open(str(folder / file), framework="pt") as shard:
            for name in shard.keys():  # noqa: SIM118 - no mapping
                bad = int((~torch.isfinite(shard.get_tensor(name))).sum())
                if bad:
                    raise StageError(f"base_model: {name} in {file} has {bad} values that are infinite or NaN")


def _check_tokenizer(folder: Path, config: Any, remote_code: bool) -> None:
    from transformers import AutoTokenizer

    if not (folder / "tokenizer.json").exists() and not (folder / "tokenizer.model").exists():
        raise StageError("base_model: no tokenizer: neither tokenizer.json nor tokenizer.model is there")
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=remote_code)
    except Exception as error:  # tokenizers raises bare Exception for a malformed file
        raise StageError(f"base_model: the tokenizer cannot be read: {error}") from error
    if len(tokenizer) > config.vocab_size:
        raise StageError(
            f"base_model: the tokenizer has {len(tokenizer)} tokens, the config's vocab_size is {config.vocab_size}"
        )


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise StageError(f"base_model: {path.name} is missing") from error
    except ValueError as error:  # JSON and UTF-8 alike
        raise StageError(f"base_model: {path.name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise StageError(f"base_model: {path.name} holds no JSON object")
    return value


def _size(shape: Iterable[int]) -> int:
    count = 1
    for side in shape:
        count *= side
    return count


def _some(problems: Sequence[str]) -> str:
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    return "; ".join(problems[:_SHOWN]) + more
