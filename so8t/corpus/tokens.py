"""Token counts by a local tokenizer folder; only its tokenizer.json is read, nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from so8t.errors import MissingExtra, StageError


def counter(path: Path) -> Callable[[str], int]:
    """How many tokens a text has, with the special tokens that it spells and none added around it."""
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise MissingExtra("tokenizers", "train", "thinking_sft.tokenizer") from error
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises bare Exception for a missing and for a malformed file
        raise StageError(f"thinking_sft.tokenizer: {path.name} is not a tokenizer: {error}") from error
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
