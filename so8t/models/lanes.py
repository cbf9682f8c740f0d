"""A step's gradient in lanes: each is computed alone, by some process, and they are summed in their order.

So the number of processes changes no bit of the result.  Weights and gradients lie in one file that every process
maps: the optimiser changes the weights where they lie, and the next step of every process begins with them.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from so8t.errors import StageError

# from a lane's work to its figures; it leaves the gradient in the parameters
Compute = Callable[[Any], Any]
# of a process that helps: from settings to its own copy of what learns, and what computes a lane with it
Prepare = Callable[[Any], AbstractContextManager[tuple[Sequence[nn.Parameter], Compute]]]

CACHE_LINE = 16  # float32 numbers: where a tensor begins can change the order of sums


def processes(wanted: Literal["auto"] | int, lanes: int, threads: int) -> int:
    """`auto` is as many as there are cores for, among those that the lanes divide into."""
    if wanted != "auto":
        return wanted
    affinity = getattr(os, "sched_getaffinity", None)  # of Linux
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return max(n for n in range(1, lanes + 1) if lanes % n == 0 and n * threads <= max(cores, threads))


class Shared:
    """What learns, and a place for the gradient of each lane, in a file of float32 numbers."""

    def __init__(self, path: Path, parameters: Iterable[nn.Parameter], lanes: int) -> None:
        self.parameters = list(parameters)
        if strange := {parameter.dtype for parameter in self.parameters} - {torch.float32}:
            raise StageError(f"lanes: what learns must be float32, and some of it is {strange.pop()}; set lanes: 1")
        room = [-(-parameter.numel() // CACHE_LINE) * CACHE_LINE for parameter in self.parameters]
        whole = torch.from_file(str(path), shared=True, size=sum(room) * (lanes + 1), dtype=torch.float32)
        weights, *lines = (self._views(line, room) for line in whole.view(lanes + 1, -1))
        self.weights, self.lines = weights, lines
        self.summed = self._views(torch.empty(sum(room)), room)

    def _views(self, line: Tensor, room: Sequence[int]) -> list[Tensor]:
        return [
            part[: each.numel()].view(each.shape)
            for part, each in zip(line.split(list(room)), self.parameters, strict=True)
        ]

    def bind(self) -> None:
        """Parameters are what the file holds from now on."""
        for parameter, there in zip(self.parameters, self.weights, strict=True):
            parameter.data = there

    def free(self) -> None:
        """Parameters are memory of this process again."""
        for parameter in self.parameters:
            parameter.data = parameter.data.clone()

    def put(self, lane: int) -> None:
        """Gradients become the lane's, and are gone from the parameters; what had none adds nothing."""
        for parameter, there in zip(self.parameters, self.lines[lane], strict=True):
            there.zero_() if parameter.grad is None else there.copy_(parameter.grad)
            parameter.grad = None

    def sum(self) -> None:
        for parameter, there, first, *others in zip(self.parameters, self.summed, *self.lines, strict=True):
            there.copy_(first)
            for other in others:
                there.add_(other)
            parameter.grad = there


class Lanes:
    """`count` lanes for what learns here, computed by this process and by helpers that `prepare(settings)` equips."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        count: int,
        processes: int,
        path: Path,
        prepare: Prepare,
        settings: Any,
    ) -> None:
        self.count, self._path = count, path
        path.unlink(missing_ok=True)  # a killed run's
        self._shared = Shared(path, parameters, count)
        with torch.no_grad():
            for there, parameter in zip(self._shared.weights, self._shared.parameters, strict=True):
                there.copy_(parameter)
        self._shared.bind()
        share = count // processes
        self._mine = range(share)
        self._helpers = [
            Helper(range(first, first + share), path, count, prepare, settings) for first in range(share, count, share)
        ]

    def gradients(self, works: Sequence[Any], compute: Compute) -> list[Any]:
        """The sum of the lanes' gradients is left in the parameters; each lane's figures."""
        for helper in self._helpers:
            helper.begin([works[lane] for lane in helper.lanes])
        found = [_lane(lane, works[lane], compute, self._shared) for lane in self._mine]
        for helper in self._helpers:
            found += helper.end()
        self._shared.sum()
        return found

    def __enter__(self) -> Lanes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for helper in self._helpers:
            helper.close()
        self._shared.free()
        del self._shared  # Windows removes no file that is mapped
        self._path.unlink()


class Helper:
    """A process that computes some of the lanes; spawned, as Windows and macOS do it."""

    def __init__(self, lanes: range, path: Path, count: int, prepare: Prepare, settings: Any) -> None:
        self.lanes = lanes
        spawn = get_context("spawn")
        self._there, theirs = spawn.Pipe()
        given = (theirs, lanes, path, count, prepare, settings)
        self._process: BaseProcess = spawn.Process(target=_help, args=given, daemon=True)
        self._process.start()
        theirs.close()

    def begin(self, works: Sequence[Any]) -> None:
        try:
            self._there.send(works)
        except BrokenPipeError:
            raise self._ended() from None

    def end(self) -> list[Any]:
        try:
            found: list[Any] = self._there.recv()
        except (EOFError, ConnectionResetError):
            raise self._ended() from None
        return found

    def _ended(self) -> StageError:
        self._process.join()
        return StageError(
            f"lanes: a process that computed lanes ended with {self._process.exitcode}; if nothing is said above, the "
            "system had no memory for it: set processes: 1"
        )

    def close(self) -> None:
        self._there.close()
        self._process.join()


def _lane(lane: int, work: Any, compute: Compute, shared: Shared) -> Any:
    figures = compute(work)
    shared.put(lane)
    return figures


def _help(there: Connection, lanes: range, path: Path, count: int, prepare: Prepare, settings: Any) -> None:
    """Until the other end is closed, however that happens."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the trainer hears it, and ends this
    with prepare(settings) as (parameters, compute), suppress(EOFError, OSError):
        shared = Shared(path, parameters, count)
        shared.bind()
        while True:
            works = there.recv()
            there.send([_lane(lane, work, compute, shared) for lane, work in zip(lanes, works, strict=True)])
