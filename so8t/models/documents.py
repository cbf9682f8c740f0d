"""What a tiny base model reads: documents from the training split, their token ids in a file that memory maps.

A base has read questions with what people said to them: of every record it sees the question with the reason and the
plain final answer as a chat.  No document shows the thinking format, a class or the system message: to judge in so many
words, and to think first, is the adapter's to learn.  Reason and answer do tell much of the class, as any forum's
text would; without the adapter the base keeps the format in no answer at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from so8t.errors import StageError
from so8t.formats import chat, records, thinking
from so8t.formats.chat import ChatFormat, Segment
from so8t.formats.thinking import ThinkingFormat
from so8t.models.order import dealt

if TYPE_CHECKING:
    import numpy

IGNORED = -100  # a label of what is not learned


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
        said = "。".join(thinking.read(answer["content"], thinking_format).fields[-2:])
        yield chat.segments([before[-1], {"role": "assistant", "content": said}], chat_format)


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
    """Documents in rows of their own, of like length, dealt anew every epoch; batch n is a function of n alone.

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
        self._size, self._fill = size, fill
        starts = numpy.concatenate([numpy.zeros(1, "<u8"), self._ends[:-1]])
        self._lengths = (self._ends - starts).tolist()
        self._order = lru_cache(maxsize=2)(lambda epoch: dealt(self._lengths, size, f"{seed}/{epoch}", by_length=True))

    def __getitem__(self, step: int) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Ids and labels: after a document's end a row holds `fill`, and nothing to learn."""
        import numpy

        places = range(step * self._size, (step + 1) * self._size)
        rows = [self._document(self._order(place // self.count)[place % self.count]) for place in places]
        ids = numpy.full((len(rows), max(map(len, rows))), self._fill, dtype=numpy.int64)
        labels = numpy.full_like(ids, IGNORED)
        for at, row in enumerate(rows):
            ids[at, : len(row)] = labels[at, : len(row)] = row
        return ids, labels

    def _document(self, number: int) -> numpy.ndarray:
        start = int(self._ends[number - 1]) if number else 0
        return self._tokens[start : int(self._ends[number])]
