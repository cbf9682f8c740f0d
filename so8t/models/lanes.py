"""A step's gradient in lanes: each is computed alone, by some process, and they are summed in their order.

So the number of processes changes no bit of the result.  `so8t.models.exchange` brings the gradients together.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from torch import nn

from so8t.errors import StageError
from so8t.models import dealing
from so8t.models.exchange import By, Exchange, exchange, group
from so8t.watch.quiet import hush

_PATIENCE = 10.0  # seconds to the end of a helper that is told to go

# from a lane's work to its figures; it leaves the gradient in the parameters
Compute = Callable[[Any], Any]
# of a process that helps: from settings to its own copy of what learns, and what computes a lane with it
Prepare = Callable[[Any], AbstractContextManager[tuple[Sequence[nn.Parameter], Compute]]]
# from the number of processes and how they meet to all but this one
Crew = Callable[[int, By], "list[Helper]"]


def processes(wanted: Literal["auto"] | int, lanes: int, threads: int, gpus: int = 0) -> int:
    """`auto` is one for each GPU, or as many as there are cores for, among those that the lanes divide into."""
    if wanted != "auto":
        return wanted
    affinity = getattr(os, "sched_getaffinity", None)  # of Linux
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return dealing.most(lanes, gpus or max(cores // threads, 1))


def visible(rank: int, there_are: str | None) -> str:
    """Of the GPUs that CUDA_VISIBLE_DEVICES names, or of all, the one of a process: it sees no other."""
    return there_are.split(",")[rank].strip() if there_are else str(rank)


@dataclass(frozen=True)
class Given:
    """What a process that helps is told first."""

    lanes: range
    count: int
    by: By
    path: Path
    prepare: Prepare
    settings: Any

    @property
    def world(self) -> int:
        return self.count // len(self.lanes)

    @property
    def meet(self) -> Path:
        return self.path.with_name(f"{self.path.name}-meet")


@dataclass(frozen=True)
class Aside:
    """What every process does beside the lanes; nobody waits for it."""

    work: Any


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
        by: By = "memory",
        crew: Crew | None = None,
    ) -> None:
        share = count // processes
        first, *others = (
            Given(range(at, at + share), count, by, path, prepare, settings) for at in range(0, count, share)
        )
        self.count, self._mine = count, first.lanes
        for left in (path, first.meet):  # by a killed run
            left.unlink(missing_ok=True)
        self._exchange: Exchange = exchange(by, path, parameters, count, first.lanes)
        self._exchange.begin()
        with ExitStack() as stack:
            self._helpers = (crew or spawned)(processes, by)
            stack.callback(self._close)
            for helper, given in zip(self._helpers, others, strict=True):
                helper.send(given)
            stack.enter_context(group(by, 0, processes, first.meet))
            self._open = stack.pop_all()

    def gradients(self, works: Sequence[Any], compute: Compute) -> list[Any]:
        """The sum of the lanes' gradients is left in the parameters; each lane's figures."""
        share = len(self._mine)
        for at, helper in enumerate(self._helpers, 1):
            helper.send(works[at * share : (at + 1) * share])
        self._exchange.spread()
        found = [_lane(lane, works[lane], compute, self._exchange) for lane in self._mine]
        for helper in self._helpers:
            found += helper.receive()
        self._exchange.sum()
        return found

    def aside(self, work: Any) -> None:
        """The helpers compute this, too."""
        for helper in self._helpers:
            helper.send(Aside(work))

    def _close(self) -> None:
        for helper in self._helpers:
            helper.close()

    def __enter__(self) -> Lanes:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            with self._open:
                if isinstance(error, RuntimeError):  # of torch, perhaps because its group lost a process
                    for helper in self._helpers:
                        helper.check()
        finally:
            self._exchange.end()


def spawned(processes: int, by: By) -> list[Helper]:
    """All but this process, as Windows and macOS start them."""
    return [_spawned(rank, by) for rank in range(1, processes)]


def _spawned(rank: int, by: By) -> Helper:
    spawn = get_context("spawn")
    there, theirs = spawn.Pipe()
    process = spawn.Process(target=help_out, args=(theirs,), daemon=True)
    with on_a_gpu(rank) if by != "memory" else nullcontext():
        process.start()
    theirs.close()
    return Helper(there, process)


class Helper:
    """A process that computes some of the lanes; one that torchrun started is known by its connection alone."""

    def __init__(self, there: Connection, process: BaseProcess | None = None) -> None:
        self._there, self._process = there, process

    def send(self, what: Any) -> None:
        try:
            self._there.send(what)
        except OSError:
            raise self._ended() from None

    def receive(self) -> list[Any]:
        try:
            found: list[Any] = self._there.recv()
        except (EOFError, OSError):
            raise self._ended() from None
        return found

    def check(self) -> None:
        """Raise if it has ended."""
        if _is_over(self._there):
            raise self._ended()

    def _ended(self) -> StageError:
        if self._process is None:
            return StageError("lanes: a process that computed lanes ended, or its machine did; torchrun says how")
        self._process.join()
        return StageError(
            f"lanes: a process that computed lanes ended with {self._process.exitcode}; if nothing is said above, the "
            "system had no memory for it: set processes: 1"
        )

    def close(self) -> None:
        self._there.close()
        if self._process is None:
            return
        self._process.join(_PATIENCE)
        if self._process.exitcode is None:  # it waits for a group that is no more
            self._process.terminate()
            self._process.join()


@contextmanager
def on_a_gpu(rank: int) -> Iterator[None]:
    """What is started inside sees its own GPU alone."""
    before = os.environ.get("CUDA_VISIBLE_DEVICES")
    os.environ["CUDA_VISIBLE_DEVICES"] = visible(rank, before)
    try:
        yield
    finally:
        if before is None:
            del os.environ["CUDA_VISIBLE_DEVICES"]
        else:
            os.environ["CUDA_VISIBLE_DEVICES"] = before


def _lane(lane: int, work: Any, compute: Compute, exchange: Exchange) -> Any:
    figures = compute(work)
    exchange.put(lane)
    return figures


def help_out(there: Connection) -> None:
    """Until the other end is closed, however that happens."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the trainer hears it, takes its step with us, and ends this
    hush()
    with suppress(EOFError, OSError):
        given: Given = there.recv()
        rank = given.lanes.start // len(given.lanes)
        with (
            group(given.by, rank, given.world, given.meet),
            given.prepare(given.settings) as (parameters, compute),
        ):
            meeting = exchange(given.by, given.path, parameters, given.count, given.lanes)
            meeting.join()
            _serve(there, given.lanes, compute, meeting)


def _serve(there: Connection, mine: range, compute: Compute, meeting: Exchange) -> None:
    while True:
        works = there.recv()
        try:
            if isinstance(works, Aside):
                compute(works.work)
                continue
            meeting.spread()
            there.send([_lane(lane, work, compute, meeting) for lane, work in zip(mine, works, strict=True)])
            meeting.deliver()
        except RuntimeError:  # of torch, whose group lost a process
            if not _is_over(there):
                raise
            return


def _is_over(there: Connection) -> bool:
    """Whether the other end is closed, behind what it may have said."""
    try:
        while there.poll(1):
            there.recv()
    except (EOFError, OSError):
        return True
    return False
