"""Many files to or from a second store, a few at once, told as they go; an error or an interrupt ends them all."""

from __future__ import annotations

import errno
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from so8t.store import running, troubles
from so8t.store.objects import MirrorError

T = TypeVar("T")
FILES = 4  # at once; s3.PARTS of each are in memory
_MEBI = 1 << 20
_TRIES = 3
_PAUSE = 1.0  # seconds before a transfer that broke off in its middle begins again


class Stopped(Exception):
    """The others have failed, or the build is to end."""


class Tally:
    """What has passed of all files together; `add` is where a transfer hears that it should end."""

    def __init__(self, total: int, part: str) -> None:
        self._total, self._part, self._done = total, part, 0
        self._lock, self.stopped = threading.Lock(), False

    def add(self, count: int) -> None:
        if self.stopped:
            raise Stopped
        with self._lock:
            self._done += count
            if self._total >= _MEBI:
                running.tell("MiB", self._done // _MEBI, self._total // _MEBI, part=self._part)


def each(move: Callable[[T, Callable[[int], None]], None], items: Sequence[T], total: int, part: str) -> None:
    """Move every item; `move` says after each piece how many bytes it had."""
    if not items:
        return
    tally = Tally(total, part)
    pool = ThreadPoolExecutor(min(FILES, len(items)), thread_name_prefix=part)
    try:
        for job in as_completed([pool.submit(_moved, move, item, tally) for item in items]):
            job.result()
    except BaseException:
        tally.stopped = True
        raise
    finally:
        pool.shutdown(cancel_futures=True)


def _moved(move: Callable[[T, Callable[[int], None]], None], item: T, tally: Tally) -> None:
    """Begins again where it broke off in its middle: what a single request meets is repeated below us."""
    for turn in range(_TRIES):
        passed = 0

        def told(count: int) -> None:
            nonlocal passed
            passed += count
            tally.add(count)

        try:
            move(item, told)
            return
        except Stopped:
            raise
        except Exception as error:
            if turn == _TRIES - 1 or not (passed and _may_pass(error)):
                raise
        tally.add(-passed)
        time.sleep(_PAUSE)


def _may_pass(error: Exception) -> bool:
    if troubles.code(error) == "NoSuchUpload":  # another machine sent the same file, and cleared ours away
        return True
    refused = (troubles.status(error) or 0) in range(400, 500)
    full = isinstance(error, OSError) and error.errno == errno.ENOSPC
    return not (refused or full or isinstance(error, (MirrorError, PermissionError)))
