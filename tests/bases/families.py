"""Bases of every family: the tokenizer as it is published, over small random weights."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bases import mistral, npm, phi35, pieces, templates


@dataclass(frozen=True)
class Base:
    """`model` is transformers' class; `prefix` of a SentencePiece model: whether a space is read before a text."""

    package: str
    model: str
    config: dict[str, Any] = field(default_factory=dict)
    prefix: bool | None = None
    template: str = ""  # in place of what the package lacks


HEAD = {"head_dim": 16}
BASES = {
    "llama2": Base("llama2", "Llama", {}, True, templates.LLAMA2),
    "llama3": Base("llama3", "Llama", {"rope_parameters": {"rope_type": "default", "rope_theta": 500000.0}}),
    "qwen3": Base("qwen3", "Qwen3", HEAD),
    "mistral3": Base("", "Mistral", HEAD),
    "nemo": Base("mistral_nemo", "Mistral", HEAD),
    "gemma2": Base("gemma2", "Gemma2", {**HEAD, "query_pre_attn_scalar": 16}, False, templates.GEMMA3),
    "gemma3": Base("gemma3", "Gemma3Text", {**HEAD, "query_pre_attn_scalar": 16, "num_hidden_layers": 6}, False),
}
SHAPE = {
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}


def build(name: str, folder: Path) -> Path:
    folder.mkdir(parents=True)
    if name == "phi35":
        return phi35.build(folder, pieces.model(npm.tokenizer("llama2") / "tokenizer.json", prefix=True), "float32")
    base = BASES[name]
    if name == "mistral3":
        mistral.write_tokenizer(folder)
        (folder / "tokenizer.model").write_bytes(pieces.model(folder / "tokenizer.json", prefix=True))
    else:
        _write_tokenizer(base, npm.tokenizer(base.package), folder)
    return _write_model(base, folder)


def _write_tokenizer(base: Base, published: Path, folder: Path) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(published / file, folder / file)
    if base.prefix is not None:
        (folder / "tokenizer.model").write_bytes(pieces.model(published / "tokenizer.json", base.prefix))
    if base.package == "llama3":  # its first publication began no text with BOS, the later ones do
        _begin_with(folder / "tokenizer.json", "<|begin_of_text|>", 128000)
    if base.template:
        config = json.loads((folder / "tokenizer_config.json").read_bytes())
        (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": base.template}), "utf-8")


def _begin_with(path: Path, token: str, number: int) -> None:
    document = json.loads(path.read_bytes())
    begin, text = {"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    known = {token: {"id": token, "ids": [number], "tokens": [token]}}
    way = {"type": "TemplateProcessing", "single": [begin, text], "pair": [begin, text], "special_tokens": known}
    path.write_text(json.dumps({**document, "post_processor": way}), "utf-8")


def _write_model(base: Base, folder: Path) -> Path:
    import torch
    import transformers

    document = json.loads((folder / "tokenizer.json").read_bytes())
    numbers = [*document["model"]["vocab"].values(), *(entry["id"] for entry in document["added_tokens"])]
    rows = -(-(max(numbers) + 1) // 64) * 64
    tied = {"vocab_size": rows, "tie_word_embeddings": True, "bos_token_id": None, "eos_token_id": None}
    config = getattr(transformers, f"{base.model}Config")(**{**SHAPE, **tied, "pad_token_id": 0, **base.config})
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        causal = getattr(transformers, f"{base.model.removesuffix('Text')}ForCausalLM")(config)
    causal.save_pretrained(str(folder))
    return folder
