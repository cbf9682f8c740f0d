"""A pure function over batches of a stream, in this process or in several, with the results in their order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_batches(
    prepare: Callable[[Any], Callable[[list[Item]], Result]],
    settings: Any,
    items: Iterable[Item],
    workers: int,
    size: int = 512,
) -> Iterator[Result]:
    """`prepare(settings)(batch)` for every batch; each process prepares once, so both must be picklable.

    Processes are spawned, as Windows and macOS do it, and at most two batches a worker are under way.
    """
    remaining = iter(items)
    batches = iter(lambda: list(islice(remaining, size)), [])
    if workers <= 1:
        yield from map(prepare(settings), batches)
        return
    spawn = get_context("spawn")
    with ProcessPoolExecutor(workers, spawn, _start, (prepare, settings)) as pool:
        waiting: deque[Future[Result]] = deque()
        try:
            for batch in batches:
                waiting.append(pool.submit(_apply, batch))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


_function: list[Callable[[Any], Any]] = []  # of a spawned process: what its start prepared


def _start(prepare: Callable[[Any], Callable[[Any], Any]], settings: Any) -> None:
    _function[:] = [prepare(settings)]


def _apply(batch: Any) -> Any:
    return _function[0](batch)
