"""One builder per stage: a lock that dies with its process, and says which process one waits for."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from so8t.store.layout import Layout


def stage_lock(layout: Layout, stage: str) -> AbstractContextManager[None]:
    return held(layout.state / "locks" / stage, f"{stage}: waiting for another build of it")


def key_lock(layout: Layout, stage: str, key: str) -> AbstractContextManager[None]:
    """Over all profiles: what two of them want is built by one, and the other finds it in the store.

    The lock is one of 256 a stage, so now and then a build waits for another's key.
    """
    path = layout.shared / "locks" / f"{stage}-{key[:2]}"
    return held(path, f"{stage}: waiting for a build of another profile")


@contextmanager
def held(place: Path, waiting: str) -> Iterator[None]:
    """The lock of this name; whoever has to wait for it is told so."""
    from filelock import FileLock, Timeout

    path = place.with_name(f"{place.name}.lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    owner = path.with_suffix(".owner")
    lock = FileLock(str(path))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"{waiting} (process {_owner(owner)})", file=sys.stderr, flush=True)
        lock.acquire()
    try:
        owner.write_text(str(os.getpid()), encoding="utf-8")
        yield
    finally:
        lock.release()


def is_held(layout: Layout, stage: str) -> bool:
    """Whether somebody builds it at this moment."""
    return not is_free(layout.state / "locks" / stage)


def is_free(place: Path) -> bool:
    """Whether nobody has the lock of this name."""
    from filelock import FileLock, Timeout

    path = place.with_name(f"{place.name}.lock")
    if not path.exists():
        return True
    try:
        with FileLock(str(path), timeout=0):
            return True
    except Timeout:
        return False


def _owner(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return "unknown"
