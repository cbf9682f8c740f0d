"""A tokenizer.model made anew from a published tokenizer.json: the same pieces, scores and kinds, as SentencePiece."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6  # SentencePiece's numbers
_IS_BYTE = re.compile("<0x[0-9A-F]{2}>")
_NEVER = 10**9  # the rank of a piece that no merge makes


def model(path: Path, prefix: bool) -> bytes:
    """`path` is tokenizer.json's; `prefix`: a space is read before every text."""
    from sentencepiece import sentencepiece_model_pb2 as proto

    document = json.loads(path.read_text("utf-8"))
    vocab: dict[str, int] = document["model"]["vocab"]
    added = {entry["content"]: bool(entry["special"]) for entry in document["added_tokens"]}
    ranks = _ranks(document["model"]["merges"])
    made = proto.ModelProto()
    for piece in sorted(vocab, key=vocab.__getitem__):
        text = "<0x09>" if piece == "\t" and "<0x09>" not in vocab else piece  # Gemma 2's converter renames the byte
        kind = _kind(text, added)
        score = -float(ranks.get(text, _NEVER)) if kind == NORMAL else 0.0
        made.pieces.add(piece=text, score=score, type=kind)
    _settle(made, vocab, prefix)
    return bytes(made.SerializeToString())


def _ranks(merges: list[Any]) -> dict[str, int]:
    ranks: dict[str, int] = {}
    for pair in merges:
        ranks.setdefault("".join(pair if isinstance(pair, list) else pair.split(" ")), len(ranks))
    return ranks


def _kind(piece: str, added: Mapping[str, bool]) -> int:
    if piece == "<unk>":
        return UNKNOWN
    if piece in added:
        return CONTROL if added[piece] else USER_DEFINED
    return BYTE if _IS_BYTE.fullmatch(piece) else NORMAL


def _settle(made: Any, vocab: Mapping[str, int], prefix: bool) -> None:
    training, normalizer = made.trainer_spec, made.normalizer_spec
    training.model_type, training.vocab_size, training.byte_fallback = 2, len(vocab), True
    training.unk_id, training.bos_id, training.eos_id = (
        next((vocab[name] for name in names if name in vocab), -1)
        for names in (("<unk>",), ("<s>", "<bos>"), ("</s>", "<eos>"))
    )
    training.unk_piece = "<unk>"
    training.bos_piece, training.eos_piece = ("<s>", "</s>") if "<s>" in vocab else ("<bos>", "<eos>")
    normalizer.name, normalizer.add_dummy_prefix = "identity", prefix
    normalizer.remove_extra_whitespaces, normalizer.escape_whitespaces = False, True
