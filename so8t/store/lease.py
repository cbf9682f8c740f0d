"""A lease on a key in a shared store: one builder at a time, over all machines, and a dead one is followed by another.

A builder on a cluster holds the lease of its key while it builds, and asks again before it publishes:

    objects = mirror.objects()  # refuses a store that ignores conditions
    with lease.held(objects, key, lease.holder(), done=lambda: store.find(key) is not None, on_loss=stop) as hold:
        if hold is None:
            ...  # somebody else built it meanwhile: restore it
        else:
            ...  # build; when the lease is lost, `on_loss` is called in another thread: end the build
            hold.check()  # Lost: publish nothing

`so8t.engine.fence.fenced` does all of this around `bring`.

No two clocks are compared: whoever waits sees by its own clock how long a lease has not been renewed, and whoever
holds it counts from before it asked.  A builder that slept through its end may still publish in the moment between
`check` and the request, so entries are created once besides.
"""

from __future__ import annotations

import json
import os
import platform
import secrets
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from so8t.errors import StageError
from so8t.store.objects import Found, MirrorError, Objects, put

SECONDS = 60.0  # without a word, and a lease is free
_ROUNDS = 3  # renewals in that time
_POLL = 5.0  # seconds at most until one who waits looks again

Clock = Callable[[], float]


class Lost(StageError):
    """The lease is another's by now, or may be: what was built is not published."""


@dataclass(frozen=True)
class Lease:
    """What lies in the store under a key: who builds it, and how long one must hear nothing before it is free."""

    holder: str  # no two builders have the same
    seconds: float
    beat: int = 0  # each renewal counts one up, so no two writes are equal
    free: bool = False

    def encode(self) -> bytes:
        return (json.dumps(asdict(self), ensure_ascii=False) + "\n").encode("utf-8", "surrogatepass")

    @property
    def renewed(self) -> Lease:
        return replace(self, beat=self.beat + 1)

    @property
    def released(self) -> Lease:
        return replace(self, beat=self.beat + 1, free=True)


def decode(data: bytes) -> Lease:
    try:
        lease = Lease(**json.loads(data))
    except (ValueError, TypeError) as error:
        raise MirrorError(f"not a lease ({type(error).__name__}: {error}); remove it and try again") from error
    if not (isinstance(lease.holder, str) and isinstance(lease.seconds, (int, float)) and lease.seconds > 0):
        raise MirrorError("not a lease (its holder or its seconds); remove it and try again")
    return lease


def holder() -> str:
    """A name for one builder that nobody else has, and that people recognise."""
    return f"{platform.node()}, process {os.getpid()}, {secrets.token_hex(8)}"


def name(key: str) -> str:
    return f"leases/{key}.json"


# ---- decisions -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """Another's lease as one who waits knows it: this version, and since when, by its own clock."""

    lease: Lease
    version: str
    since: float


@dataclass(frozen=True)
class Term:
    """A lease that is ours, until this moment of our own clock if we cannot renew it."""

    lease: Lease
    version: str
    until: float


def look(before: Seen | None, found: Found | None, now: float) -> Seen | None:
    """What is known after another look; a lease that was renewed counts from now."""
    if found is None:
        return None
    if before is not None and before.version == found.version:
        return before
    return Seen(decode(found.data), found.version, now)


def left(seen: Seen | None, now: float) -> float:
    """Seconds until it may be taken if nothing is heard of its holder."""
    if seen is None or seen.lease.free:
        return 0.0
    return max(0.0, seen.since + seen.lease.seconds - now)


def due(term: Term) -> float:
    """When it should be renewed."""
    return term.until - term.lease.seconds * (_ROUNDS - 1) / _ROUNDS


# ---- requests --------------------------------------------------------------------------------------------------


def claim(objects: Objects, key: str, mine: Lease, seen: Seen | None, clock: Clock) -> Term | None:
    """Take a lease that is free; None if somebody else was quicker."""
    asked = clock()
    version = put(objects, name(key), mine.encode(), seen.version if seen else None)
    return Term(mine, version, asked + mine.seconds) if version else None


def renew(objects: Objects, key: str, term: Term, clock: Clock) -> Term | None:
    """For as long again from now; None if it is another's."""
    asked, mine = clock(), term.lease.renewed
    version = put(objects, name(key), mine.encode(), term.version)
    return Term(mine, version, asked + mine.seconds) if version else None


def release(objects: Objects, key: str, term: Term) -> None:
    """Nobody need wait for it any more."""
    put(objects, name(key), term.lease.released.encode(), term.version)


def acquire(
    objects: Objects,
    key: str,
    mine: Lease,
    done: Callable[[], bool],
    clock: Clock = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
    told: Callable[[str], object] = lambda text: print(text, file=sys.stderr, flush=True),
) -> Term | None:
    """The lease, whoever has to be waited for; None once the result is there, made by somebody else."""
    seen: Seen | None = None
    waited_for = ""
    while not done():
        seen = look(seen, objects.read(name(key)), clock())
        wait = left(seen, clock())
        if wait == 0.0:
            term = claim(objects, key, mine, seen, clock)
            if term is not None and done():  # finished between our two looks
                release(objects, key, term)
                return None
            if term is not None:
                return term
            continue
        if seen and seen.lease.holder != waited_for:
            waited_for = seen.lease.holder
            told(f"waiting for {waited_for}, which builds it; its turn ends after {seen.lease.seconds:g} s of silence")
        sleep(min(wait, _POLL))
    return None


class Hold:
    """A lease that is held: renewed from a thread of its own, and watched by another that waits for no network."""

    def __init__(self, objects: Objects, key: str, term: Term, on_loss: Callable[[], object], clock: Clock) -> None:
        self._objects, self._key, self._term, self._clock = objects, key, term, clock
        self._on_loss, self._why = on_loss, ""
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._renewing, self._watching)]

    def check(self) -> None:
        """Right before publishing: Lost unless it is ours now and for a moment longer."""
        with self._lock:
            if not self._why and self._clock() >= self._term.until:
                self._why = f"was not renewed for {self._term.lease.seconds:g} s: the store did not answer"
            if self._why:
                raise Lost(f"the lease of {self._key[:16]} {self._why}; nothing was published, run doit again")

    @property
    def is_lost(self) -> bool:
        return bool(self._why)

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        self._threads[0].join(timeout=self._term.lease.seconds)
        with self._lock:
            ours = not self._why
        try:
            if ours:
                release(self._objects, self._key, self._term)
        except MirrorError as error:
            print(f"warning: {error}; others wait {self._term.lease.seconds:g} s for its lease", file=sys.stderr)

    def _renewing(self) -> None:
        pause = self._term.lease.seconds / _ROUNDS / 4  # until a store that did not answer is asked again
        while not self._ended.wait(max(due(self._term) - self._clock(), pause)) and not self._why:
            try:
                term = renew(self._objects, self._key, self._term, self._clock)
            except MirrorError:
                continue  # there is time until the end of the term, which _watching sees
            if term is None:
                self._lose(f"is {self._other()}'s by now")
                return
            with self._lock:
                self._term = term

    def _watching(self) -> None:
        while not self._ended.wait(max(self._term.until - self._clock(), 0.01)):
            if self._why:
                return
            try:
                self.check()
            except Lost:
                self._on_loss()
                return

    def _lose(self, why: str) -> None:
        with self._lock:
            told, self._why = bool(self._why), self._why or why
        if not told:
            self._on_loss()

    def _other(self) -> str:
        try:
            found = self._objects.read(name(self._key))
            return decode(found.data).holder if found else "nobody"
        except MirrorError:
            return "another"


@contextmanager
def held(
    objects: Objects,
    key: str,
    holder: str,
    done: Callable[[], bool],
    on_loss: Callable[[], object],
    seconds: float = SECONDS,
    clock: Clock = time.monotonic,
) -> Iterator[Hold | None]:
    """The lease of a key for as long as the block runs; None where `done` says that there is nothing to build."""
    term = acquire(objects, key, Lease(holder, seconds), done, clock)
    if term is None:
        yield None
        return
    hold = Hold(objects, key, term, on_loss, clock)
    hold.start()
    try:
        yield hold
    finally:
        hold.end()
