"""Phi-3.5 as it is published, but for its weights: tokenizer with its added tokens, template, longrope, padding."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from so8t.models import tokenizer

TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' and message['content'] %}"
    "{{'<|system|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'user' %}"
    "{{'<|user|>\n' + message['content'] + '<|end|>\n'}}{% elif message['role'] == 'assistant' %}"
    "{{'<|assistant|>\n' + message['content'] + '<|end|>\n'}}{% endif %}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|assistant|>\n' }}{% else %}{{ eos_token }}{% endif %}"
)
AFTER_PIECES = (  # in the order of their ids, the first of which follows the last piece's
    "<|endoftext|>",
    "<|assistant|>",
    *(f"<|placeholder{number}|>" for number in (1, 2, 3, 4)),
    "<|system|>",
    "<|end|>",
    *(f"<|placeholder{number}|>" for number in (5, 6)),
    "<|user|>",
)
NOT_STRIPPING = ("<unk>", "<s>", "<|endoftext|>")
PADDING = 64 - len(AFTER_PIECES)  # rows of the embedding without a token


def added(pieces: int) -> list[dict[str, Any]]:
    numbered = [*enumerate(("<unk>", "<s>", "</s>")), *enumerate(AFTER_PIECES, pieces)]
    return [{"id": number, **_flags(token)} for number, token in numbered]


def _flags(token: str) -> dict[str, Any]:
    stripping = {"single_word": False, "lstrip": False, "rstrip": token not in NOT_STRIPPING}
    return {"content": token, **stripping, "normalized": False, "special": token != "</s>"}


def write_tokenizer(folder: Path, model: bytes) -> int:
    """`model` is a tokenizer.model's bytes; the rows that the embedding needs."""
    pieces = tokenizer.processor(model)
    count = pieces.vocab_size()
    (folder / "tokenizer.model").write_bytes(model)
    _write(folder / "tokenizer.json", fast(model))
    decoder = {str(entry.pop("id")): entry for entry in added(count)}
    config = {
        "add_bos_token": False,
        "add_eos_token": False,
        "added_tokens_decoder": decoder,
        "bos_token": "<s>",
        "chat_template": TEMPLATE,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|endoftext|>",
        "legacy": False,
        "model_max_length": 131072,
        "pad_token": "<|endoftext|>",
        "padding_side": "left",
        "sp_model_kwargs": {},
        "tokenizer_class": "LlamaTokenizer",
        "unk_token": "<unk>",
        "use_default_system_prompt": False,
    }
    _write(folder / "tokenizer_config.json", config)
    _write(folder / "added_tokens.json", {token: count + at for at, token in enumerate(AFTER_PIECES)})
    ends = {"bos_token": "<s>", "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>", "unk_token": "<unk>"}
    _write(folder / "special_tokens_map.json", ends)
    return count + len(AFTER_PIECES) + PADDING


def fast(model: bytes) -> dict[str, Any]:
    """tokenizer.json as transformers' Phi-3 converter writes it: a space before every text between two tokens."""
    pieces = tokenizer.processor(model)
    plain = tokenizer.fast(pieces, tokenizer.Symbols("<s>", "<s>", (), ()))
    score = {pieces.IdToPiece(number): pieces.GetScore(number) for number in range(pieces.vocab_size())}
    plain["model"]["merges"].sort(key=lambda pair: -score["".join(pair)])  # published ids do not follow the scores
    prepend = {"type": "Prepend", "prepend": "▁"}
    return {
        **plain,
        "added_tokens": added(pieces.vocab_size()),
        "normalizer": {"type": "Sequence", "normalizers": [prepend, plain["normalizer"]]},
        "decoder": {
            "type": "Sequence",
            "decoders": [*plain["decoder"]["decoders"], {"type": "Strip", "content": " ", "start": 1, "stop": 0}],
        },
    }


def train(texts: list[str], vocab_size: int) -> bytes:
    """A small model of the same kind; SentencePiece itself reads a space before a text."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    symbols = tokenizer.Symbols("<s>", "</s>", (), ())
    made = proto.ModelProto()
    made.ParseFromString(tokenizer.train(texts, vocab_size, symbols))
    made.normalizer_spec.add_dummy_prefix = True
    return bytes(made.SerializeToString())


SHAPE: dict[str, Any] = {
    "hidden_size": 96,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
    "max_position_embeddings": 131072,
    "original_max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "sliding_window": 262144,
    "attention_bias": False,
    "bos_token_id": 1,
    "rope_parameters": {
        "rope_type": "longrope",
        "long_factor": [1.0 + 0.5 * at for at in range(16)],
        "short_factor": [1.0 + 0.01 * at for at in range(16)],
        "rope_theta": 10000.0,
        "partial_rotary_factor": 1.0,
    },
}


def build(folder: Path, model: bytes, dtype: str = "bfloat16") -> Path:
    """The whole checkpoint, over small random weights."""
    import torch
    from transformers import Phi3Config, Phi3ForCausalLM

    folder.mkdir(parents=True, exist_ok=True)
    rows = write_tokenizer(folder, model)
    end = tokenizer.processor(model).vocab_size()
    config = Phi3Config(vocab_size=rows, eos_token_id=end, pad_token_id=end, **SHAPE)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        causal = Phi3ForCausalLM(config)
    causal.to(getattr(torch, dtype)).save_pretrained(str(folder))
    return folder


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2), "utf-8")
