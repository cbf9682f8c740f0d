"""The books of thinking_sft: every record that came in is written out or dropped with a reason, and counted."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from so8t.corpus import direct
from so8t.corpus.lengths import Lengths
from so8t.corpus.splits import SplitFiles
from so8t.errors import StageError
from so8t.formats.records import Record, line


class Ledger:
    """Writes thinking_sft.jsonl, splits/ and dropped.jsonl; whoever reads a record adds it to `came_in`.

    `tokens` counts a text's tokens where there is a tokenizer.
    """

    def __init__(self, folder: Path, tokens: Callable[[str], int] | None = None) -> None:
        self._folder, self._tokens = folder, tokens
        self._stack = ExitStack()
        self.came_in = 0
        self._by: defaultdict[tuple[str, str, str], int] = defaultdict(int)  # label, split, made_from
        self._direct: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._lengths = {name: Lengths() for name in ("text_characters", "text_utf8_bytes", "answer_characters")}
        self._characters, self._bytes, self._answers = (lengths.counts for lengths in self._lengths.values())
        if tokens:
            self._lengths["text_tokens"] = Lengths()

    def __enter__(self) -> Ledger:
        self._splits = self._stack.enter_context(SplitFiles(self._folder / "splits"))
        self._write = self._stack.enter_context(
            (self._folder / "thinking_sft.jsonl").open("wb", buffering=1 << 20)
        ).write
        self._drops = self._stack.enter_context((self._folder / "dropped.jsonl").open("wb"))
        return self

    def __exit__(self, *failure: object) -> None:
        self._stack.close()

    def keep(self, example: Record, answer: str) -> None:
        text, split = example["text"], example["split"]
        written = line(example)
        self._write(written)
        self._splits[split](written)
        self._by[example.get("label", ""), split, example["made_from"]] += 1
        if "direct" in example:
            self._direct[split] += 1
        self._characters[len(text)] += 1
        self._bytes[len(text.encode())] += 1
        self._answers[len(answer)] += 1
        if self._tokens:
            self._lengths["text_tokens"].counts[self._tokens(text)] += 1

    def drop(self, record: Record, reason: str, detail: str = "") -> None:
        """Without the text: it may hold what only its own artifact should."""
        entry = {"id": record["id"], "reason": reason, "source": record["source"]}
        self._drops.write(line({**entry, "detail": detail} if detail else entry))
        self._dropped[reason] += 1

    def balance(self) -> dict[str, Any]:
        """The stats, once nothing is unaccounted for."""
        kept, dropped = sum(self._by.values()), sum(self._dropped.values())
        if self.came_in != kept + dropped:
            raise StageError(f"thinking_sft: {self.came_in} records in, but {kept} out + {dropped} dropped")
        return {
            "in": self.came_in,
            "out": kept,
            "dropped": dict(sorted(self._dropped.items())),
            "by_label": {label: count for label, count in self._totals(0).items() if label},
            "by_split": {**dict.fromkeys(self._splits, 0), **self._totals(1)},
            "by_made_from": self._totals(2),
            "direct": {split: self._direct[split] for split in direct.SPLITS},
            "lengths": {name: lengths.summary() for name, lengths in self._lengths.items()},
        }

    def _totals(self, place: int) -> dict[str, int]:
        totals: Counter[str] = Counter()
        for key, count in self._by.items():
            totals[key[place]] += count
        return dict(sorted(totals.items()))
