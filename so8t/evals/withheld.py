"""A model's answer as it is kept and shown: without personal data and secrets, which are counted by kind.  Pure.

What an answer is worth is computed from the answer as it was given.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from so8t.corpus import pii
from so8t.formats.chat import Message
from so8t.formats.records import Record
from so8t.formats.thinking import ThinkingFormat


@dataclass(frozen=True)
class Kept:
    text: str
    found: Mapping[str, int]


@dataclass(frozen=True)
class Withhold:
    """By the rules of a table; the structure of the format stays as it is."""

    table: pii.Table
    fmt: ThinkingFormat

    def __call__(self, text: str, prompt: Sequence[Message] = ()) -> Kept:
        """A person whom the answer names is never one whom the prompt, or the answer itself, numbers."""
        who = pii.persons(self.table, beside="".join([*(turn["content"] for turn in prompt), text]))
        found: Counter[str] = Counter()

        def without(piece: str) -> str:
            cleaned, counts = pii.remove(piece, self.table, who)
            found.update(counts)
            return cleaned

        pieces = re.split(self._structure(), text)  # structure stands at the odd places
        cleaned = "".join(piece if at % 2 else without(piece) for at, piece in enumerate(pieces))
        return Kept(cleaned, dict(sorted(found.items())))

    def _structure(self) -> str:
        keys = filter(None, (field.key for field in self.fmt.fields))
        return f"({'|'.join(map(re.escape, (*self.fmt.markers, *keys))) or '(?!)'})"


def counted(answers: Iterable[Kept | None]) -> dict[str, dict[str, int]]:
    """As a figure of many answers, by kind; none where nothing was found."""
    return _summed(one.found for one in answers if one)


def rejected(pair: Record, withhold: Withhold) -> Record:
    """A pair whose worse answer is a model's own, as it is learned from and kept."""
    kept = withhold(pair["rejected"], pair["prompt"])
    return {**pair, "rejected": kept.text, **counted([kept])}


def summed(pairs: Iterable[Record]) -> dict[str, dict[str, int]]:
    """What their worse answers held, by kind; none where nothing was found."""
    return _summed(pair.get("pii", {}) for pair in pairs)


def _summed(found: Iterable[Mapping[str, int]]) -> dict[str, dict[str, int]]:
    total: Counter[str] = Counter()
    for one in found:
        total.update(one)
    return {"pii": dict(sorted(total.items()))} if total else {}
