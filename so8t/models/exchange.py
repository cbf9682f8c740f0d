"""Where the gradients of lanes meet: in one file that every process maps, or through a torch.distributed group."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from so8t.errors import StageError

By = Literal["memory", "gloo", "nccl"]

CACHE_LINE = 16  # float32 numbers: where a tensor begins can change the order of sums
SLICE = 1 << 24  # float32 numbers of each lane that are gathered at once: 64 MiB
LOOPBACK = {"linux": "lo", "darwin": "lo0"}
INTERFACES = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")  # in the environment, on which network a group talks


def choose(device: str, has_nccl: bool, grouped: bool = False) -> By:
    """Memory is shared on a processor, unless it must be a group, as of several machines; GPUs speak NCCL, which
    Windows has not."""
    if device != "cuda":
        return "gloo" if grouped else "memory"
    return "nccl" if has_nccl else "gloo"


@contextmanager
def group(by: By, rank: int, world: int, meet: Path) -> Iterator[None]:
    """The processes find each other by a file, and talk on the loopback alone unless the environment says otherwise."""
    if by == "memory" or world == 1:
        yield
        return
    if loopback := LOOPBACK.get(sys.platform):
        for name in INTERFACES:
            os.environ.setdefault(name, loopback)
    here: Any = torch.distributed
    store = here.FileStore(str(meet), world)  # a URL of a file would be read as it is written, without its spaces
    here.init_process_group(by, store=store, rank=rank, world_size=world)
    try:
        yield
    finally:
        here.destroy_process_group()


class Lines:
    """What learns, as one line of float32 numbers in which each tensor begins a cache line."""

    def __init__(self, parameters: Iterable[nn.Parameter]) -> None:
        self.parameters = list(parameters)
        if strange := {parameter.dtype for parameter in self.parameters} - {torch.float32}:
            raise StageError(f"lanes: what learns must be float32, and some of it is {strange.pop()}; set lanes: 1")
        self._room = [-(-parameter.numel() // CACHE_LINE) * CACHE_LINE for parameter in self.parameters]
        self.length = sum(self._room)

    def views(self, line: Tensor) -> list[Tensor]:
        return [
            part[: each.numel()].view(each.shape)
            for part, each in zip(line.split(list(self._room)), self.parameters, strict=True)
        ]

    def put(self, views: Sequence[Tensor]) -> None:
        """Gradients go there, and are gone from the parameters; what had none adds nothing."""
        for parameter, there in zip(self.parameters, views, strict=True):
            there.zero_() if parameter.grad is None else there.copy_(parameter.grad)
            parameter.grad = None

    def give(self, views: Sequence[Tensor]) -> None:
        """They are the parameters' gradients from now on."""
        for parameter, there in zip(self.parameters, views, strict=True):
            parameter.grad = there.to(parameter.device)


class Shared:
    """What learns, and a place for the gradient of each lane, in a file.

    The optimiser changes the weights where they lie, and the next step of every process begins with them.
    """

    def __init__(self, path: Path, parameters: Iterable[nn.Parameter], lanes: int) -> None:
        self._lines, self._path = Lines(parameters), path
        size = self._lines.length * (lanes + 1)
        whole = torch.from_file(str(path), shared=True, size=size, dtype=torch.float32)
        weights, *lines = (self._lines.views(line) for line in whole.view(lanes + 1, -1))
        self._weights, self._each = weights, lines
        self._summed = self._lines.views(torch.empty(self._lines.length))

    def begin(self) -> None:
        """In the first process: its parameters are what the file holds."""
        with torch.no_grad():
            for there, parameter in zip(self._weights, self._lines.parameters, strict=True):
                there.copy_(parameter)
        self.join()

    def join(self) -> None:
        for parameter, there in zip(self._lines.parameters, self._weights, strict=True):
            parameter.data = there

    def spread(self) -> None:
        """Every process sees the weights."""

    def put(self, lane: int) -> None:
        self._lines.put(self._each[lane])

    def deliver(self) -> None:
        """Every process sees the gradients."""

    def sum(self) -> None:
        for there, first, *others in zip(self._summed, *self._each, strict=True):
            there.copy_(first)
            for other in others:
                there.add_(other)
        self._lines.give(self._summed)

    def end(self) -> None:
        """In the first process: parameters are its own memory again."""
        for parameter in self._lines.parameters:
            parameter.data = parameter.data.clone()
        del self._weights, self._each  # Windows removes no file that is mapped
        self._path.unlink()


class Gathered:
    """Weights go from the first process to all before a step, and after it the gradients of all lanes to the first.

    They are summed slice by slice in the lanes' order, so that there is no room needed for a gradient of every lane.
    """

    def __init__(self, by: By, parameters: Iterable[nn.Parameter], lanes: int, mine: range) -> None:
        self._lines, self._mine, self._world = Lines(parameters), mine, lanes // len(mine)
        where = torch.device("cuda" if by == "nccl" else "cpu")  # gloo gathers nothing on a GPU
        self._own = torch.zeros(len(mine), self._lines.length, device=where)
        self._line = torch.zeros(self._lines.length, device=where)

    def begin(self) -> None: ...

    def join(self) -> None: ...

    @torch.no_grad()
    def spread(self) -> None:
        if self._world == 1:
            return
        views = self._lines.views(self._line)
        if self._is_first:
            for there, parameter in zip(views, self._lines.parameters, strict=True):
                there.copy_(parameter)
        torch.distributed.broadcast(self._line, 0)
        if not self._is_first:
            for there, parameter in zip(views, self._lines.parameters, strict=True):
                parameter.copy_(there)

    def put(self, lane: int) -> None:
        self._lines.put(self._lines.views(self._own[lane - self._mine.start]))

    def deliver(self) -> None:
        for at in range(0, self._lines.length, SLICE):
            self._gather(self._own[:, at : at + SLICE].contiguous())

    def sum(self) -> None:
        for at in range(0, self._lines.length, SLICE):
            first, *others = self._gather(self._own[:, at : at + SLICE].contiguous())
            there = self._line[at : at + SLICE].copy_(first)
            for other in others:
                there.add_(other)
        self._lines.give(self._lines.views(self._line.clone()))

    def end(self) -> None: ...

    @property
    def _is_first(self) -> bool:
        return self._mine.start == 0

    def _gather(self, own: Tensor) -> list[Tensor]:
        """In the first process, a slice of every lane, in their order."""
        if self._world == 1:
            return list(own)
        there = [torch.empty_like(own) for _ in range(self._world)] if self._is_first else None
        torch.distributed.gather(own, there)
        return [line for part in there or () for line in part]


Exchange = Shared | Gathered


def exchange(by: By, path: Path, parameters: Iterable[nn.Parameter], lanes: int, mine: range) -> Exchange:
    return Shared(path, parameters, lanes) if by == "memory" else Gathered(by, parameters, lanes, mine)
