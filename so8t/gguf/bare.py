"""A vocabulary as a GGUF of its own, around a model of one empty layer: llama.cpp reads it as it will the real one.

It takes seconds, so that what a tokenizer cannot do in llama.cpp is known before anything is trained.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from math import prod
from pathlib import Path

from so8t.gguf import stripping, writer
from so8t.gguf.layout import Entry
from so8t.gguf.metadata import Pair
from so8t.gguf.vocabulary import Vocabulary

_WIDTH = 32  # of one head; llama.cpp wants a whole model, whatever its size
_SHAPE = {
    "context_length": 8,
    "embedding_length": _WIDTH,
    "block_count": 1,
    "feed_forward_length": _WIDTH,
    "attention.head_count": 1,
    "attention.head_count_kv": 1,
    "rope.dimension_count": _WIDTH,
}


def write(vocabulary: Vocabulary, target: Path) -> None:
    entries = [Entry(name, shape, kind) for name, shape, kind in _tensors(len(vocabulary.tokens))]
    pairs = [
        Pair("general.name", stripping.title("vocabulary", vocabulary.strips), "string"),
        *(Pair(f"llama.{key}", value, "uint32") for key, value in _SHAPE.items()),
        Pair("llama.attention.layer_norm_rms_epsilon", 1e-5, "float32"),
        *vocabulary.pairs,
    ]
    head = writer.header(target, "llama", pairs, entries, vocabulary)
    sizes = (prod(entry.shape) * struct.calcsize("e" if entry.kind == "f16" else "f") for entry in entries)
    with target.open("r+b") as out:
        out.truncate(head + sum(sizes))  # every size is a multiple of the alignment


def _tensors(rows: int) -> Iterator[tuple[str, tuple[int, ...], str]]:
    yield "token_embd.weight", (rows, _WIDTH), "f16"
    yield "output_norm.weight", (_WIDTH,), "f32"
    yield from ((f"blk.0.{name}_norm.weight", (_WIDTH,), "f32") for name in ("attn", "ffn"))
    for name in ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"):
        yield f"blk.0.{name}.weight", (_WIDTH, _WIDTH), "f16"
