"""Where a run is watched from: the terminal, the logs of its speed, TensorBoard.  Nothing comes back to the run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from so8t.watch import board
from so8t.watch.board import Board
from so8t.watch.pace import Pace
from so8t.watch.progress import Progress


class Monitor:
    """`constants` say which layers the figures are about."""

    def __init__(
        self, label: str, logs: Path, tensorboard: bool, steps: int, constants: Mapping[str, Sequence[int]]
    ) -> None:
        if tensorboard:
            board.check()
        self._label, self._steps, self._logs = label, steps, logs
        self._tensorboard, self._constants = tensorboard, constants
        self._closing = ExitStack()
        self._tokens = 0

    def __enter__(self) -> Monitor:
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.close()

    def began(self, step: int) -> None:
        self._pace = Pace(self._logs)
        self._closing.callback(self._pace.close)
        self._board = Board(self._logs / "tensorboard", step, self._constants) if self._tensorboard else None
        if self._board:
            self._closing.callback(self._board.close)
        self._progress = self._closing.enter_context(Progress(self._label, self._steps, step))

    def step(self, step: int, tokens: int, loss: float) -> None:
        self._tokens += tokens
        self._progress.update(step, tokens, loss)

    def sample(self, sample: Mapping[str, Any], gates: Any) -> None:
        self._pace.sample(sample["step"], self._tokens)
        self._tokens = 0
        if self._board:
            self._board.write(sample, gates.angles)
