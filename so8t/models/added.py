"""Tokens that a base is given: entries of its tokenizer, and rows of embeddings and head to begin with.

A row begins as the mean of the rows of the pieces that its text was before, so the same base and tokens give the same
bytes.  Rows that the vocabulary has to spare are taken first; what is still missing is added to it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from so8t.errors import StageError
from so8t.formats import published
from so8t.formats.thinking import ThinkingFormat
from so8t.models.tokenizer import flags, write_json
from so8t.weights.embeddings import EMBEDDING, HEAD

if TYPE_CHECKING:
    import torch

INDEX = "model.safetensors.index.json"
QUICK, CONFIG, LISTED = "tokenizer.json", "tokenizer_config.json", "added_tokens.json"
Which = Literal["none", "markers"] | tuple[str, ...]


@dataclass(frozen=True)
class Token:
    """A token that the base gets: its row, and the pieces of its text before, whose mean the row begins as."""

    text: str
    number: int
    pieces: tuple[int, ...]


def wanted(which: Which, declared: Callable[[], ThinkingFormat]) -> tuple[str, ...]:
    if which == "none":
        return ()
    if which != "markers":
        return tuple(dict.fromkeys(which))
    if not (thinking := declared()).tokens:
        marks = "marks whole lines, which are not tokens" if thinking.thinks else "has no thinking to mark"
        raise StageError(
            f"base_model: tokens: markers: the format {thinking.name} {marks}; "
            "set tokens: none, or thinking_sft's format to quadruple or think"
        )
    return thinking.tokens


def add(source: Path, target: Path, texts: Sequence[str], remote_code: bool = False) -> tuple[Token, ...]:
    """Leave the checkpoint of `source` in `target`, with these tokens where it has not got them already."""
    tokens = plan(published.tokenizer(source, remote_code), texts)
    shutil.rmtree(target, ignore_errors=not target.exists())
    target.mkdir(parents=True)
    if tokens:
        _write_weights(source, target, tokens)
        _write_tokenizer(source, target, tokens)
    for path in sorted(path for path in source.iterdir() if not (target / path.name).exists()):
        shutil.copyfile(path, target / path.name)
    check(published.tokenizer(target, remote_code), tokens)
    return tokens


def plan(tokenizer: Any, texts: Sequence[str]) -> tuple[Token, ...]:
    """The tokens that are missing, numbered behind the last one that there is."""
    vocabulary: Mapping[str, int] = tokenizer.get_vocab()
    first = max(vocabulary.values()) + 1
    missing = [text for text in texts if text not in vocabulary]
    found = [tuple(tokenizer(text, add_special_tokens=False)["input_ids"]) for text in missing]
    if empty := [text for text, pieces in zip(missing, found, strict=True) if not pieces]:
        raise StageError(f"base_model: tokens: {empty[0]!r} is no text at all to this base's tokenizer")
    return tuple(Token(text, first + at, pieces) for at, (text, pieces) in enumerate(zip(missing, found, strict=True)))


def check(tokenizer: Any, tokens: Sequence[Token]) -> None:
    """Each is one token wherever it stands, and comes back as it was; some tokenizers read a space behind it."""
    for token in tokens:
        back = tokenizer.decode([token.number])
        for text in (token.text, f"あ{token.text}い", f"a {token.text}\n"):
            ids = tokenizer(text, add_special_tokens=False)["input_ids"]
            if ids.count(token.number) != 1 or back.strip(" ") != token.text:
                raise StageError(
                    f"base_model: tokens: {token.text} was added as number {token.number}, which is {back!r}, and the "
                    f"tokenizer reads {text!r} as {ids}; leave it out of tokens"
                )


# ---- rows ------------------------------------------------------------------------------------------------------


def grown(rows: torch.Tensor, tokens: Sequence[Token]) -> torch.Tensor:
    """With a row for each token, in the rows' own type; the mean is taken in float64 and rounded once."""
    import torch

    missing = max(0, max(token.number for token in tokens) + 1 - len(rows))
    made = torch.cat([rows, rows.new_zeros(missing, rows.shape[1])])
    for token in tokens:
        made[token.number] = rows[list(token.pieces)].double().mean(0).to(rows.dtype)
    return made


def _write_weights(source: Path, target: Path, tokens: Sequence[Token]) -> None:
    """The files that hold embeddings and head, and what is said of them elsewhere."""
    from safetensors.torch import load_file, save_file

    config, more = read_json(source / "config.json"), 0
    for path in sorted(source.glob("*.safetensors")):
        tensors = load_file(path)
        if HEAD in tensors and config.get("tie_word_embeddings"):
            raise StageError(
                f"base_model: tokens: {path.name} holds {HEAD}, and config.json says that the head shares the "
                "embeddings' weights (tie_word_embeddings): take the second copy out"
            )
        for name in sorted({EMBEDDING, HEAD} & tensors.keys()):
            before, tensors[name] = tensors[name], grown(tensors[name], tokens)
            more += tensors[name].nbytes - before.nbytes
            config["vocab_size"] = len(tensors[name])
        if {EMBEDDING, HEAD} & tensors.keys():
            save_file(tensors, target / path.name, metadata={"format": "pt"})
    write_json(target / "config.json", config)
    if (source / INDEX).is_file():
        index = read_json(source / INDEX)
        index["metadata"] = {"total_size": index["metadata"]["total_size"] + more}
        write_json(target / INDEX, index)


# ---- the tokenizer ---------------------------------------------------------------------------------------------


def _write_tokenizer(source: Path, target: Path, tokens: Sequence[Token]) -> None:
    """Ordinary tokens, not special ones: an engine that hides those must print a marker.

    Where the base's own swallow the white space behind them, these do, too: llama.cpp knows one rule for all.
    """
    if not (source / QUICK).is_file():
        raise StageError(f"base_model: tokens: {QUICK} is missing; save the tokenizer with transformers first")
    quick, config = read_json(source / QUICK), read_json(source / CONFIG)
    strips = any(entry.get("rstrip") for entry in quick["added_tokens"])
    entries = {token.number: {**flags(token.text, special=False), "rstrip": strips} for token in tokens}
    quick["added_tokens"] = [*quick["added_tokens"], *({"id": number, **entry} for number, entry in entries.items())]
    write_json(target / QUICK, quick)
    if "added_tokens_decoder" in config or (source / "tokenizer.model").is_file():
        known = config.get("added_tokens_decoder", {})
        config["added_tokens_decoder"] = {**known, **{str(number): entry for number, entry in entries.items()}}
        write_json(target / CONFIG, config)
    if (source / LISTED).is_file():
        listed = read_json(source / LISTED)
        write_json(target / LISTED, {**listed, **{token.text: token.number for token in tokens}})


def read_json(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
