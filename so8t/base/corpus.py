"""What a tiny base model reads: documents from the training split, their token ids in a file that memory maps.

A base has read questions with their answers and knows what the format looks like; it has not been taught to judge:
of every record it sees the question with the plain final answer as a chat, and, apart, the assistant's whole turn
without the question.  No document shows a question with its thinking, its class or its system message:
that is the adapter's to learn.  An answer that refuses does tell something of the class, as any forum's text would.
"""

from __future__ import annotations

import random
from array import array
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
        yield chat.segments([before[-1], {"role": "assistant", "content": final.answer}], chat_format)
        yield chat.segments([answer], chat_format)


def write_tokens(folder: Path, encoded: Iterable[list[int]], end: int, longest: int) -> None:
    """tokens.bin, every document's first `longest` ids with one `end`, and ends.bin, where each stops."""
    import numpy

    total = 0
    with (folder / "tokens.bin").open("wb", 1 << 20) as tokens, (folder / "ends.bin").open("wb", 1 << 20) as ends:
        for ids in encoded:
            kept = [*ids, end][:longest]
            total += len(kept)
            tokens.write(numpy.asarray(kept, dtype="<u4").tobytes())
            ends.write(numpy.asarray(total, dtype="<u8").tobytes())


class Batches:
    """Documents in rows of their own, dealt anew every epoch; batch n is a function of n alone.

    Rows of their own: a small model learns to read a question long before it learns where one document ends.
    """

    def __init__(self, folder: Path, size: int, seed: int, fill: int) -> None:
        import numpy

        self._ends = numpy.fromfile(folder / "ends.bin", dtype="<u8")
        self.count = len(self._ends)
        if self.count < size:
            raise StageError(
                f"base_model: the training split gives {self.count} documents, one batch needs {size}; "
                "add training records, or lower source.batch"
            )
        self._tokens = numpy.memmap(folder / "tokens.bin", dtype="<u4", mode="r")
        self._size, self._seed, self._fill = size, seed, fill

    def __getitem__(self, step: int) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Ids and labels: after a document's end a row holds `fill`, and nothing to learn."""
        import numpy

        places = range(step * self._size, (step + 1) * self._size)
        rows = [
            self._document(_order(self._seed, place // self.count, self.count)[place % self.count]) for place in places
        ]
        ids = numpy.full((len(rows), max(map(len, rows))), self._fill, dtype=numpy.int64)
        labels = numpy.full_like(ids, -100)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = labels[at, : len(row)] = row
        return ids, labels

    def _document(self, number: int) -> numpy.ndarray:
        start = int(self._ends[number - 1]) if number else 0
        return self._tokens[start : int(self._ends[number])]


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> array[int]:
    order = array("Q", range(count))
    random.Random(f"{seed}/{epoch}").shuffle(order)
    return order
