"""Held-out conversations: the first so many of each split that a spec names, as records or as token ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path

from so8t.errors import StageError
from so8t.formats import chat, records
from so8t.formats.chat import ChatFormat
from so8t.formats.records import Record


def heldout(sft: Path, splits: Sequence[str], count: int | None, where: str) -> dict[str, list[Record]]:
    """The first `count` of each split of thinking_sft, all without it; `where` is the spec's field, for messages."""
    return {split: _first(sft / "splits" / f"{split}.jsonl", count, where) for split in splits}


def _first(path: Path, count: int | None, where: str) -> list[Record]:
    if not path.is_file():
        there = ", ".join(sorted(each.stem for each in path.parent.glob("*.jsonl")))
        raise StageError(f"{where}: thinking_sft has no split {path.stem}; it has {there}")
    found = list(islice(records.read(path), count))
    if not found:
        raise StageError(f"{where}: split {path.stem} holds no conversation; give it a share, or leave it out")
    return found


def token_ids(
    found: Mapping[str, Sequence[Record]], model: Path, fmt: ChatFormat, longest: int, remote_code: bool = False
) -> dict[str, list[int]]:
    """By name, such as `test:1`: by the tokenizer of the model's folder, as training does it, `longest` at most."""
    from so8t.formats import published
    from so8t.formats.encoding import Encoder

    tokenizer = published.tokenizer(model, remote_code)
    named = {f"{split}:{number}": each for split, talks in found.items() for number, each in enumerate(talks, 1)}
    encoded = Encoder(tokenizer).each(chat.segments(record["messages"], fmt) for record in named.values())
    return {name: one.ids[:longest] for name, one in zip(named, encoded, strict=True)}
