"""The training set as token ids in files that memory maps, and the rows that a pass through the model takes."""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.errors import StageError
from so8t.formats import chat, direct, records
from so8t.formats.chat import ChatFormat, Segment
from so8t.formats.encoding import Encoded, Encoder
from so8t.formats.records import THOUGHTLESS, Record
from so8t.formats.thinking import ThinkingFormat

if TYPE_CHECKING:
    import numpy
    from torch import Tensor

IGNORED = -100


@dataclass(frozen=True)
class Counts:
    """What became of a split."""

    conversations: int
    too_long: int
    nothing_to_learn: int
    tokens: int
    learned: int


def read(
    split: Path, chat_format: ChatFormat, thinking_format: ThinkingFormat, encoder: Encoder, most: int | None = None
) -> Iterator[Encoded]:
    """The first records, or all; each once more as a direct answer where thinking_sft chose it for that."""
    chosen = islice(records.read(split), most)
    return encoder.each(form for record in chosen for form in forms(record, chat_format, thinking_format))


def forms(record: Record, chat_format: ChatFormat, thinking_format: ThinkingFormat) -> Iterator[list[Segment]]:
    """How a record is learned: thinking first, unless it has no thinking; and directly, if it was chosen for that."""
    also = record.get("learn", ())
    if record.get("direct") != THOUGHTLESS:
        yield chat.segments(record["messages"], chat_format, also=also)
    else:
        yield _directly(record, chat_format, thinking_format, also)
    if record.get("direct") is True:
        yield _directly(record, chat_format, thinking_format)


def _directly(
    record: Record, chat_format: ChatFormat, thinking_format: ThinkingFormat, also: Sequence[int] = ()
) -> list[Segment]:
    messages = direct.answered(record["messages"], thinking_format, record.get("before", ()))
    return chat.segments(messages, chat_format, prefill=direct.prefill(thinking_format), also=also)


def write(folder: Path, encoded: Iterable[Encoded], longest: int) -> Counts:
    """ids.bin, learned.bin and ends.bin in `folder`; conversations of more than `longest` tokens stay out, whole."""
    import numpy

    folder.mkdir(parents=True, exist_ok=True)
    kept = too_long = unlearnable = total = learned = 0
    with (
        (folder / "ids.bin").open("wb", 1 << 20) as ids,
        (folder / "learned.bin").open("wb", 1 << 20) as marks,
        (folder / "ends.bin").open("wb", 1 << 20) as ends,
    ):
        for one in encoded:
            too_long += len(one.ids) > longest
            unlearnable += not any(one.learned[1:])  # nothing predicts a row's first token
            if len(one.ids) > longest or not any(one.learned[1:]):
                continue
            kept, total, learned = kept + 1, total + len(one.ids), learned + sum(one.learned[1:])
            ids.write(numpy.asarray(one.ids, dtype="<u4").tobytes())
            marks.write(numpy.asarray(one.learned, dtype="u1").tobytes())
            ends.write(numpy.asarray(total, dtype="<u8").tobytes())
    return Counts(kept, too_long, unlearnable, total, learned)


class Conversations:
    """What `write` wrote, by number."""

    def __init__(self, folder: Path) -> None:
        import numpy

        ends = numpy.fromfile(folder / "ends.bin", dtype="<u8").astype(numpy.int64)
        if not len(ends):
            raise StageError(
                "adapter: no conversation is left to train on; raise train.sequence, or look at thinking_sft"
            )
        self._starts = numpy.concatenate([numpy.zeros(1, numpy.int64), ends])
        self._ids = numpy.memmap(folder / "ids.bin", dtype="<u4", mode="r")
        self._learned = numpy.memmap(folder / "learned.bin", dtype="u1", mode="r")

    def __len__(self) -> int:
        return len(self._starts) - 1

    @property
    def lengths(self) -> list[int]:
        return (self._starts[1:] - self._starts[:-1]).tolist()

    def __getitem__(self, number: int) -> tuple[numpy.ndarray, numpy.ndarray]:
        """Ids, and labels: the ids where they are learned."""
        import numpy

        part = slice(int(self._starts[number]), int(self._starts[number + 1]))
        ids = self._ids[part].astype(numpy.int64)
        labels = numpy.where(self._learned[part] != 0, ids, IGNORED)
        labels[0] = IGNORED  # in a packed row it would be predicted from another conversation
        return ids, labels


class Rows:
    """Rows of one conversation, or of several that fit: a dataset for torch's loader."""

    def __init__(self, conversations: Conversations, room: int | None = None) -> None:
        self._conversations = conversations
        lengths = conversations.lengths
        self.contents = [[number] for number in range(len(lengths))] if room is None else pack(lengths, room)
        self.lengths = array("Q", (sum(lengths[number] for number in row) for row in self.contents))

    def __len__(self) -> int:
        return len(self.contents)

    def __getitem__(self, number: int) -> list[tuple[numpy.ndarray, numpy.ndarray]]:
        return [self._conversations[each] for each in self.contents[number]]


def pack(lengths: Sequence[int], room: int) -> list[list[int]]:
    """Numbers in rows of at most `room` tokens: the longest first, each into the fullest row that has place for it."""
    rows: list[list[int]] = []
    places: list[tuple[int, int]] = []  # (what is free, row), ascending
    for number in sorted(range(len(lengths)), key=lambda number: (-lengths[number], number)):
        at = bisect_left(places, (lengths[number], -1))
        free, row = places.pop(at) if at < len(places) else (room, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(number)
        insort(places, (free - lengths[number], row))
    return rows


def deal(
    rows: Sequence[Sequence[tuple[numpy.ndarray, numpy.ndarray]]], lanes: int, micro_batch: int, fill: int, unit: int
) -> list[list[dict[str, Tensor]]]:
    """A step's rows in lanes, each in passes through the model."""
    share = len(rows) // lanes
    passes = range(0, share, micro_batch)
    return [
        [collate(rows[lane + at : lane + at + micro_batch], fill, unit) for at in passes]
        for lane in range(0, len(rows), share)
    ]


def collate(
    rows: Sequence[Sequence[tuple[numpy.ndarray, numpy.ndarray]]], fill: int, unit: int = 1
) -> dict[str, Tensor]:
    """One batch: ids, labels, and `sequence`, each token's conversation in its row from 1 on, 0 at padding.

    Its width is that of the widest row, rounded up to a multiple of `unit`.

    Padding is on the right, where causal attention never looks back from: a batch needs no mask.  Only packed rows
    bring positions, which begin again with each conversation, and from which transformers makes the mask.
    """
    import numpy
    import torch

    widest = max(sum(len(ids) for ids, _ in row) for row in rows)
    width = -(-widest // unit) * unit
    shape = (len(rows), width)
    table = {
        "input_ids": numpy.full(shape, fill, numpy.int64),
        "labels": numpy.full(shape, IGNORED, numpy.int64),
        "sequence": numpy.zeros(shape, numpy.int64),
        "position_ids": numpy.tile(numpy.arange(width), (len(rows), 1)),
    }
    for at, row in enumerate(rows):
        start = 0
        for number, (ids, labels) in enumerate(row, 1):
            part = (at, slice(start, start + len(ids)))
            table["input_ids"][part], table["labels"][part], table["sequence"][part] = ids, labels, number
            table["position_ids"][at, start:] = numpy.arange(width - start)
            start += len(ids)
    if all(len(row) == 1 for row in rows):
        del table["position_ids"]
    tensors: dict[str, Any] = {name: torch.from_numpy(values) for name, values in table.items()}
    return tensors
