"""A checkpoint's tokenizer as llama.cpp reads it: pieces, scores and the kind of every token.

SentencePiece from tokenizer.model, byte-level BPE from tokenizer.json; special ids and the chat template come
through the gguf package, as they do in llama.cpp's converter.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.errors import MissingExtra, StageError
from so8t.formats.structure import looks_special
from so8t.gguf import bytelevel, stripping
from so8t.gguf.metadata import Pair
from so8t.gguf.names import Family
from so8t.gguf.tokentypes import BYTE, CONTROL, NORMAL, UNKNOWN, UNUSED, USER_DEFINED

if TYPE_CHECKING:
    from gguf import SpecialVocab

SPACE = "▁"
_ADDED_SCORE, _NO_SCORE = -1000.0, -10000.0
_GEMMA_END_OF_TURN = 107


@dataclass(frozen=True)
class Vocabulary:
    """One entry per row of the embedding; `strips`: special tokens swallow the white space behind them."""

    pairs: tuple[Pair, ...]
    special: SpecialVocab
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    strips: bool


def read(folder: Path, family: Family, rows: int, pre: str | None, markers: Sequence[str] = ()) -> Vocabulary:
    """`rows` is the embedding's; `markers` are texts that must be printed, so never CONTROL."""
    try:
        from gguf import SpecialVocab
    except ImportError:
        raise MissingExtra("gguf", "gguf", "writing a GGUF") from None
    if (folder / "tokenizer.model").is_file() and not _is_byte_level(folder, family):
        tokens, scores, types = _sentencepiece(folder, family, rows)
        named = [
            Pair("tokenizer.ggml.model", "llama", "string"),
            Pair("tokenizer.ggml.pre", "default", "string"),
            Pair("tokenizer.ggml.tokens", tokens, "strings"),
            Pair("tokenizer.ggml.scores", scores, "float32s"),
            Pair("tokenizer.ggml.token_type", types, "int32s"),
            Pair("tokenizer.ggml.add_space_prefix", _space_prefix(folder, family), "bool"),
        ]
        special = SpecialVocab(folder, n_vocab=len(tokens))
    elif (folder / "tokenizer.json").is_file() and family.arch not in ("gemma", "gemma2", "gemma3"):
        tokens, types = bytelevel.tokens(folder / "tokenizer.json", rows)
        named = [
            Pair("tokenizer.ggml.model", "gpt2", "string"),
            Pair("tokenizer.ggml.pre", pre or bytelevel.pre_tokenizer(folder / "tokenizer.json"), "string"),
            Pair("tokenizer.ggml.tokens", tokens, "strings"),
            Pair("tokenizer.ggml.token_type", types, "int32s"),
        ]
        special = SpecialVocab(folder, load_merges=True)
    else:
        raise StageError(
            "gguf: tokenizer.model is missing; copy it from the base model (transformers 5 does not save it)"
        )
    _settle_bos(folder, special)
    if family.arch == "gemma" and len(tokens) > _GEMMA_END_OF_TURN:
        named.append(Pair("tokenizer.ggml.eot_token_id", _GEMMA_END_OF_TURN, "uint32"))
    _check_markers(tokens, types, markers)
    return Vocabulary(tuple(named), special, tuple(tokens), tuple(types), stripping.needed(_stripping(folder)))


def _sentencepiece(folder: Path, family: Family, rows: int) -> tuple[list[str], list[float], list[int]]:
    from sentencepiece import SentencePieceProcessor

    try:
        pieces = SentencePieceProcessor(model_proto=(folder / "tokenizer.model").read_bytes())
    except RuntimeError as error:
        raise StageError("gguf: tokenizer.model is not a SentencePiece model") from error
    count = pieces.vocab_size()
    _check_size(count, rows)
    tokens = [pieces.IdToPiece(number) for number in range(count)] + [f"[PAD{n}]" for n in range(count, rows)]
    scores = [pieces.GetScore(number) for number in range(count)] + [_NO_SCORE] * (rows - count)
    types = [_type(pieces, number) for number in range(count)] + [UNUSED] * (rows - count)
    for number, token, is_special in _added(folder, family):
        _check_size(number + 1, rows)
        control = is_special or (family.arch != "phi3" and looks_special(token))
        tokens[number] = token if control or family.arch == "phi3" else token.replace(SPACE, " ")
        types[number], scores[number] = CONTROL if control else USER_DEFINED, _ADDED_SCORE
    return tokens, scores, types


def _type(pieces: Any, number: int) -> int:
    if pieces.IsUnknown(number):
        return UNKNOWN
    if pieces.IsControl(number):
        return CONTROL
    if pieces.IsUnused(number):
        return UNUSED
    return BYTE if pieces.IsByte(number) else NORMAL


def _added(folder: Path, family: Family) -> Iterator[tuple[int, str, bool]]:
    """Id, text and special flag of the tokens beside SentencePiece's own; later files win."""
    for token, number in json_of(folder / "added_tokens.json").items():
        yield int(number), token, False
    for number, entry in json_of(folder / "tokenizer_config.json").get("added_tokens_decoder", {}).items():
        yield int(number), entry["content"], bool(entry.get("special"))
    if family.arch == "phi3":
        for entry in json_of(folder / "tokenizer.json").get("added_tokens", []):
            yield int(entry["id"]), entry["content"], bool(entry.get("special"))


def _stripping(folder: Path) -> Iterator[str]:
    """Tokens that swallow the white space behind them, as any of the files says it."""
    listed = list(json_of(folder / "tokenizer_config.json").get("added_tokens_decoder", {}).values())
    for entry in [*listed, *json_of(folder / "tokenizer.json").get("added_tokens", [])]:
        if entry.get("rstrip"):
            yield entry["content"]


def _check_size(count: int, rows: int) -> None:
    if count > rows:
        raise StageError(
            f"gguf: the tokenizer has {count} tokens and the embedding {rows} rows: they belong to different models; "
            "resize the embedding when tokens are added"
        )


def _is_byte_level(folder: Path, family: Family) -> bool:
    """Phi-4 brings GPT-2's tokenizer under Phi-3's architecture."""
    config = json_of(folder / "tokenizer_config.json")
    return family.arch == "phi3" and config.get("tokenizer_class") == "GPT2Tokenizer"


def _space_prefix(folder: Path, family: Family) -> bool:
    """Whether a text is read as if a space stood before it; llama.cpp takes silence for yes."""
    if family.arch.startswith("gemma"):
        return False
    document = json_of(folder / "tokenizer.json")
    before = document["pre_tokenizer"] if document else None
    if before and before["type"] == "Metaspace":
        return bool(before.get("prepend_scheme", "always") == "always")  # llama.cpp knows no first text of all
    stated = json_of(folder / "tokenizer_config.json").get("add_prefix_space")
    if stated is not None:
        return bool(stated)
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_proto=(folder / "tokenizer.model").read_bytes())
    return bool(pieces.encode("x", out_type=str)[0].startswith(SPACE))


def _settle_bos(folder: Path, special: SpecialVocab) -> None:
    """llama.cpp would guess where the files are silent; the tokenizer is asked instead."""
    if "bos" in special.add_special_token or not (folder / "tokenizer.json").is_file():
        return
    from tokenizers import Tokenizer

    ids = Tokenizer.from_file(str(folder / "tokenizer.json")).encode("", add_special_tokens=True).ids
    special.add_special_token["bos"] = ids[:1] == [special.special_token_ids.get("bos")]


def _check_markers(tokens: Sequence[str], types: Sequence[int], markers: Sequence[str]) -> None:
    kinds = dict(zip(tokens, types, strict=True))
    hidden = [marker for marker in markers if kinds.get(marker) == CONTROL]
    if hidden:
        raise StageError(
            f"gguf: {', '.join(hidden)} would be CONTROL, and engines do not print those, so thinking would leak into "
            'the answer; add such tokens with "special": false'
        )


def json_of(path: Path) -> dict[str, Any]:
    """An optional file's object."""
    if not path.is_file():
        return {}
    try:
        value = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise StageError(f"gguf: {path.name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise StageError(f"gguf: {path.name} holds no JSON object")
    return value
