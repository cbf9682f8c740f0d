"""A tokenizer trained here, and a GGUF with its vocabulary around a model of random weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from so8t.formats import chat, suite
from so8t.formats.chat import PHI3
from so8t.formats.thinking import ThinkingFormat
from so8t.models import tokenizer
from so8t.models.tokenizer import Symbols

WIDTH, HEADS, LAYERS = 32, 2, 2


def symbols(fmt: ThinkingFormat) -> Symbols:
    return Symbols(PHI3.bos, PHI3.eos, PHI3.role_tokens, fmt.tokens)


def train(folder: Path, fmt: ThinkingFormat, vocab_size: int) -> bytes:
    """The folder that transformers reads, trained on the suite's own conversations."""
    texts = [
        piece.text
        for conversation in suite.conversations(fmt)
        for piece in chat.segments(suite.trained(conversation.messages, fmt), PHI3)
        if not piece.structure
    ]
    model = tokenizer.train(texts * 3, vocab_size, symbols(fmt))
    folder.mkdir()
    tokenizer.write(folder, model, symbols(fmt), chat.jinja_template(PHI3), longest=1024)
    return model


def write(path: Path, model: bytes, fmt: ThinkingFormat, marker_type: int = 4) -> None:
    """`marker_type` is the type of the tags' tokens: USER_DEFINED, as it should be."""
    import gguf
    import numpy as np

    pieces = tokenizer.processor(model)
    size = pieces.vocab_size()
    out = gguf.GGUFWriter(path, "llama")
    out.add_context_length(1024)
    out.add_embedding_length(WIDTH)
    out.add_block_count(LAYERS)
    out.add_feed_forward_length(2 * WIDTH)
    out.add_head_count(HEADS)
    out.add_head_count_kv(HEADS)
    out.add_layer_norm_rms_eps(1e-5)
    out.add_rope_dimension_count(WIDTH // HEADS)
    out.add_tokenizer_model("llama")
    out.add_token_list([pieces.IdToPiece(number) for number in range(size)])
    out.add_token_scores([pieces.GetScore(number) for number in range(size)])
    out.add_token_types([_type(pieces, number, symbols(fmt), marker_type) for number in range(size)])
    out.add_bos_token_id(1)
    out.add_eos_token_id(pieces.PieceToId("<|end|>"))
    out.add_add_bos_token(False)
    out.add_add_space_prefix(False)
    out.add_chat_template(chat.jinja_template(PHI3))
    random = np.random.default_rng(7)
    for name, shape in _shapes(size):
        ones = name.endswith("norm.weight")
        values = np.ones(shape) if ones else random.normal(0, 0.5, shape)
        out.add_tensor(name, values.astype(np.float32))
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def _type(pieces: Any, number: int, names: Symbols, marker: int) -> int:
    if pieces.IsUnknown(number):
        return 2
    if pieces.IsControl(number):
        return 3
    if pieces.IsByte(number):
        return 6
    return marker if pieces.IdToPiece(number) in names.markers else 1


def _shapes(size: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield from (
        ("token_embd.weight", (size, WIDTH)),
        ("output.weight", (size, WIDTH)),
        ("output_norm.weight", (WIDTH,)),
    )
    for layer in range(LAYERS):
        block = f"blk.{layer}"
        yield from ((f"{block}.{name}_norm.weight", (WIDTH,)) for name in ("attn", "ffn"))
        yield from ((f"{block}.attn_{name}.weight", (WIDTH, WIDTH)) for name in ("q", "k", "v", "output"))
        yield from ((f"{block}.ffn_{name}.weight", (2 * WIDTH, WIDTH)) for name in ("gate", "up"))
        yield f"{block}.ffn_down.weight", (WIDTH, 2 * WIDTH)
