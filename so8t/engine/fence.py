"""One builder of a key over all machines: the lease in the shared store, held around a build of its own process."""

from __future__ import annotations

import _thread
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from so8t.engine.bring import Target
from so8t.errors import StageError
from so8t.store import lease
from so8t.store.lease import SECONDS


def interrupt() -> None:
    """In the main thread, out of what the system makes it wait for."""
    if os.name == "nt":
        _thread.interrupt_main()
    else:
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)


@contextmanager
def fenced(
    target: Target, anew: bool = False, stop: Callable[[], object] = interrupt, seconds: float = SECONDS
) -> Iterator[Target]:
    """The same target for a builder on a cluster; another that builds this key is waited for, and its result taken.

    What it builds goes to the store, or the stage fails.  One whose lease is lost is stopped, and publishes nothing.

        with key_lock(...), fenced(target) as target:
            how = bring(target, build)
    """
    mirror, key = target.store.mirror, target.wanted.key
    if mirror is None:
        raise StageError(f"{target.stage}: builders on a cluster share a store: set store.mirror in profile.yaml")

    def is_done() -> bool:
        return not anew and mirror.manifest(key) is not None

    with lease.held(mirror.fencing(), key, lease.holder(), is_done, stop, seconds) as hold:
        if hold is None:
            yield replace(target, store=replace(target.store, relies=True))
            return
        store = replace(target.store, relies=True, mirror=replace(mirror, fence=hold.check))
        try:
            yield replace(target, store=store)
        except BaseException:
            if hold.is_lost:
                hold.check()  # which says why it was stopped
            raise
