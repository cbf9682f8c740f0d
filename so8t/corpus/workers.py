"""A pure function over the lines of a file, in this process or in several, with the results in the file's order.

Processes are given ranges of bytes and read the file themselves: lines sent through pipes cost more than cleaning them.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from typing import Any, TypeVar

from so8t.errors import StageError
from so8t.stream.ranges import Range, cut

Result = TypeVar("Result")
Work = Callable[[Iterable[bytes]], Result]

SIZE = 1 << 20  # bytes of a range
WORTH = 16 << 20  # bytes of a file from which it is worth to start processes, which takes each a second
_MOST = 61  # processes that Windows can wait for


def map_lines(
    prepare: Callable[[Any], Work[Result]], settings: Any, path: Path, workers: int, size: int | None = None
) -> Iterator[Result]:
    """`prepare(settings)(lines)` for every range of `size` bytes; each process prepares once.

    `prepare`, `settings` and the results must be picklable: processes are spawned, as Windows and macOS do it.
    At most three ranges a worker are under way.
    """
    ranges = cut(path, size or SIZE)
    if workers <= 1:
        work = prepare(settings)
        yield from (work(each.lines()) for each in ranges)
        return
    spawn = get_context("spawn")
    with ProcessPoolExecutor(min(workers, _MOST), spawn, _start, (prepare, settings)) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for each in ranges:
                waiting.append(pool.submit(_apply, each))
                if len(waiting) >= 3 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            raise StageError(
                f"a process that worked on {path.name} was ended from outside, perhaps because memory ran out; "
                "build again, or set `workers` to a smaller number"
            ) from error
        finally:
            for future in waiting:
                future.cancel()


def hands(workers: int | None, path: Path) -> int:
    """As many as were asked for; None: one for each core, if the file is large enough to be worth it."""
    if workers is not None:
        return workers
    return _cores() if path.stat().st_size >= WORTH else 1


def _cores() -> int:
    affinity = getattr(os, "sched_getaffinity", None)  # of Linux
    return len(affinity(0)) if affinity else os.cpu_count() or 1


_work: list[Work[Any]] = []  # of a spawned process: what its start prepared


def _start(prepare: Callable[[Any], Work[Any]], settings: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C, and ends the pool in order
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    _work[:] = [prepare(settings)]


def _end_with_the_parent() -> None:
    """A killed parent closes nothing that its workers wait for: each of them holds the pipe's other end, too."""
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _apply(each: Range) -> Any:
    return _work[0](each.lines())
