"""Conversations as both engines are asked: token ids, and which part of the conversation each of them predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from so8t.formats.equality import Formats
    from so8t.formats.records import Record


@dataclass(frozen=True)
class Talks:
    """By name, such as `test:1`; `sections` has a part for each token."""

    ids: Mapping[str, Sequence[int]]
    sections: Mapping[str, Sequence[str]]

    @property
    def longest(self) -> int:
        return max(map(len, self.ids.values()))


def read(found: Mapping[str, Sequence[Record]], folder: Path, formats: Formats, longest: int) -> Talks:
    """As the training reads them, by the tokenizer of the model's folder, `longest` tokens at most."""
    from so8t.corpus.conversations import token_ids
    from so8t.formats import published, sections
    from so8t.formats.encoding import Encoder

    ids = token_ids(found, folder, formats.chat, longest)
    encoder = Encoder(published.tokenizer(folder))
    named = zip(ids, (record["messages"] for records in found.values() for record in records), strict=True)
    parts = {name: sections.following(talk, encoder, formats.chat, formats.thinking) for name, talk in named}
    return Talks(ids, {name: parts[name][:longest] for name in ids})
