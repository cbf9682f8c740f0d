"""What a GGUF will hold, from the headers of a checkpoint alone: every tensor's name, shape, type and origin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so8t.errors import StageError
from so8t.gguf import encode, hyperparameters, names, vocabulary
from so8t.gguf.names import Conversion, Family
from so8t.gguf.vocabulary import Vocabulary
from so8t.weights import reader
from so8t.weights.header import FLOATS, Tensor


@dataclass(frozen=True)
class SourceModel:
    """A checkpoint, read as far as a plan needs it."""

    folder: Path
    config: dict[str, Any]
    family: Family
    tensors: dict[str, Tensor]


@dataclass(frozen=True)
class Entry:
    """One tensor of the GGUF; `values` are given where no tensor of the checkpoint is behind it."""

    name: str
    shape: tuple[int, ...]
    kind: str
    tensor: Tensor | None = None
    conversion: Conversion | None = None
    values: tuple[float, ...] = ()


def open_source(folder: Path) -> SourceModel:
    """A folder that transformers saved."""
    from transformers import AutoConfig

    raw = vocabulary.json_of(folder / "config.json")
    architectures = raw.get("architectures")
    if not isinstance(architectures, list) or not architectures:
        raise StageError("gguf: config.json names no architecture: `architectures` must hold one, as a list")
    if "quantization_config" in raw:
        raise StageError("gguf: the weights are quantised already (quantization_config); convert the 16-bit model")
    family = names.family(architectures[0])
    try:
        config = AutoConfig.from_pretrained(str(folder), local_files_only=True).to_dict()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StageError(f"gguf: config.json cannot be used: {error}") from error
    with reader.open_folder(folder, "gguf") as weights:
        for name, tensor in weights.tensors.items():
            if tensor.dtype not in FLOATS:
                there = f"{weights.file(name)}: {name} holds {tensor.dtype}"
                raise StageError(f"{there}; it must be one of {', '.join(FLOATS)}")
        return SourceModel(folder, config, family, weights.tensors)


def plan(source: SourceModel, kind: str) -> list[Entry]:
    """Every tensor with its name, shape and type, in order."""
    entries = [
        Entry(name, (len(values),), "f32", values=tuple(values))
        for name, values in hyperparameters.rope_tensors(source.config, source.family)
    ]
    for name, tensor in source.tensors.items():
        conversion = names.conversion(name, source.family)
        if conversion is not None:
            entries.append(
                Entry(conversion.name, tensor.shape, _kind(conversion.name, tensor, kind), tensor, conversion)
            )
    _check_layers(source, {entry.name for entry in entries})
    return entries


def _kind(name: str, tensor: Tensor, kind: str) -> str:
    """Norms and everything with one dimension stay float32; rows that no block divides stay float16."""
    if len(tensor.shape) < 2 or name.endswith("_norm.weight"):
        return "f32"
    return kind if encode.fits(kind, tensor.shape[-1]) else "f16"


def _check_layers(source: SourceModel, have: set[str]) -> None:
    layers = int(source.config["num_hidden_layers"])
    inside = [name for name in source.family.layer.values() if not name.endswith("_norm")]
    wanted = {f"blk.{number}.{name}.weight" for number in range(layers) for name in inside}
    if not source.config.get("tie_word_embeddings"):
        wanted.add("output.weight")
    missing = sorted((wanted | {"token_embd.weight", "output_norm.weight"}) - have)
    if missing:
        more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
        raise StageError(f"gguf: the checkpoint lacks what becomes {', '.join(missing[:3])}{more}")
    beyond = sorted(name for name in have if name.startswith("blk.") and int(name.split(".")[1]) >= layers)
    if beyond:
        raise StageError(f"gguf: {beyond[0]} is beyond the {layers} layers of config.json")


def read_vocabulary(
    source: SourceModel, markers: Sequence[str] = (), pre_tokenizer: str | None = None, template: str | None = None
) -> Vocabulary:
    """The vocabulary, one entry per row of the embedding; `markers` are texts that engines must print.

    `template` is the chat template of the GGUF, in place of the checkpoint's own.
    """
    embedding = source.tensors.get("model.embed_tokens.weight")
    if embedding is None or embedding.shape[0] != source.config["vocab_size"]:
        rows = embedding.shape[0] if embedding else "no"
        raise StageError(f"gguf: vocab_size is {source.config['vocab_size']} and the embedding has {rows} rows")
    found = vocabulary.read(source.folder, source.family, embedding.shape[0], pre_tokenizer, markers)
    if template is not None:
        found.special.chat_template = template
    return found
