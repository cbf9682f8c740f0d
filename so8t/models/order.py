"""Which rows each step takes: a function of the seed and the step alone, so that a resumed run takes the same."""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Iterator, Sequence

_WINDOW = 16  # batches among which rows are sorted by length: wide enough to pad little, narrow enough to mix


def steps_of(rows: int, batch: int, epochs: float, steps: int | None) -> int:
    return steps or max(1, math.ceil(rows * epochs / batch))


class Order:
    """Row numbers for `steps` batches: every row once an epoch, dealt anew each time.

    With `by_length`, batches hold rows of like length, and come in random order all the same.  A torch sampler.
    """

    def __init__(self, lengths: Sequence[int], batch: int, steps: int, seed: int, by_length: bool) -> None:
        self._lengths, self._batch, self._steps = lengths, batch, steps
        self._seed, self._by_length = seed, by_length

    def __len__(self) -> int:
        return self._batch * self._steps

    def __iter__(self) -> Iterator[int]:
        wanted, epoch = len(self), 0
        while wanted > 0:
            dealt = self._epoch(epoch)[:wanted]
            yield from dealt
            wanted, epoch = wanted - len(dealt), epoch + 1

    def _epoch(self, epoch: int) -> array[int]:
        return dealt(self._lengths, self._batch, f"{self._seed}/{epoch}", self._by_length)


def dealt(lengths: Sequence[int], batch: int, seed: str, by_length: bool) -> array[int]:
    """One epoch's order of the rows."""
    dice = random.Random(seed)
    numbers = array("Q", range(len(lengths)))
    dice.shuffle(numbers)
    if not by_length:
        return numbers
    window = batch * _WINDOW
    batches = [
        each
        for start in range(0, len(numbers), window)
        for each in _batches(sorted(numbers[start : start + window], key=lengths.__getitem__), batch)
    ]
    short = [batches.pop()] if len(batches[-1]) < batch else []  # stays behind, so that no other batch is cut in two
    dice.shuffle(batches)
    return array("Q", (number for each in [*batches, *short] for number in each))


def _batches(numbers: list[int], size: int) -> list[list[int]]:
    return [numbers[start : start + size] for start in range(0, len(numbers), size)]
