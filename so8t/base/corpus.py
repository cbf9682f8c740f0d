"""What a tiny base model reads: documents from the training split, as one run of token ids in a file.

A base has read questions with their answers and knows what the format looks like; it has not been taught to judge:
of every record it sees the question and the final answer as plain text, and, apart, the assistant's turn alone.
No document shows the question with its thinking or its class: that is the adapter's to learn.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from so8t.data import chat, records, thinking
from so8t.data.chat import ChatFormat, Segment
from so8t.data.thinking import ThinkingFormat
from so8t.errors import StageError

if TYPE_CHECKING:
    import numpy


def texts(train: Path) -> Iterator[str]:
    """The contents of all messages, for the tokenizer; a system message that repeats counts once."""
    last = None
    for record in records.read(train):
        for message in record["messages"]:
            if message["role"] != "system":
                yield message["content"]
            elif message["content"] != last:
                yield (last := message["content"])


def documents(train: Path, chat_format: ChatFormat, thinking_format: ThinkingFormat) -> Iterator[list[Segment]]:
    for record in records.read(train):
        *before, answer = record["messages"]
        final = thinking.split(answer["content"], thinking_format).final
        plain = f"{before[-1]['content']}\n{final.answer}"
        yield [Segment(plain, "user", structure=False, learned=True)]
        yield chat.segments([answer], chat_format)


def write_tokens(path: Path, encoded: Iterable[list[int]], end: int) -> None:
    """Every document's ids and one `end` after each; the file appears whole."""
    import numpy

    part = path.with_name(f"{path.name}.part")
    with part.open("wb", 1 << 20) as out:
        for ids in encoded:
            out.write(numpy.asarray([*ids, end], dtype="<u4").tobytes())
    part.replace(path)


class Blocks:
    """The run of ids cut into blocks of equal length, dealt anew every epoch; batch n is a function of n alone."""

    def __init__(self, path: Path, length: int, batch: int, seed: int) -> None:
        import numpy

        tokens = numpy.memmap(path, dtype="<u4", mode="r") if path.stat().st_size else numpy.zeros(0, "<u4")
        self.count = len(tokens) // length
        if self.count < batch:
            raise StageError(
                f"base_model: {len(tokens)} tokens of text make {self.count} blocks of {length}, "
                f"one batch needs {batch}; "
                "add training records, or lower source.batch or source.sequence"
            )
        self._blocks = tokens[: self.count * length].reshape(self.count, length)
        self._batch, self._seed = batch, seed

    def __getitem__(self, step: int) -> numpy.ndarray:
        import numpy

        places = range(step * self._batch, (step + 1) * self._batch)
        rows = [_order(self._seed, place // self.count, self.count)[place % self.count] for place in places]
        return self._blocks[rows].astype(numpy.int64)


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> list[int]:
    order = list(range(count))
    random.Random(f"{seed}/{epoch}").shuffle(order)
    return order
