"""One builder per stage: a lock that dies with its process, and says which process one waits for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from so8t.store.layout import Layout


@contextmanager
def stage_lock(layout: Layout, stage: str) -> Iterator[None]:
    from filelock import FileLock, Timeout

    path = layout.state / "locks" / f"{stage}.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    owner = path.with_suffix(".owner")
    lock = FileLock(str(path))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{stage}: waiting for another build of it (process {_owner(owner)})", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        owner.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        lock.release()


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return "unknown"
