"""A job is watched until it ends: its log told as it grows, its queue and its silence named."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from so8t.cluster import attempts
from so8t.cluster.attempts import Job
from so8t.cluster.jobs import Jobs, Unreachable
from so8t.errors import StageError

_PAUSE = 1.0  # seconds between two questions
_LOG_RATE = 100_000  # bytes of log a second at most: it comes whole each time

T = TypeVar("T")


def patiently(
    ask: Callable[[], T],
    stage: str,
    silent: Callable[[float], str],
    tell: Callable[[str], object],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], object] = time.sleep,
) -> T:
    """The answer, however long the head gives none, within patience; then StageError with what `silent` says."""
    since: float | None = None
    while True:
        try:
            answer = ask()
        except Unreachable as error:
            if since is None:
                since = clock()
                tell(f"{stage}: the cluster does not answer ({error}); asking on")
            if clock() - since >= attempts.PATIENCE:
                raise StageError(silent(clock() - since)) from error
            sleep(_PAUSE)
            continue
        if since is not None:
            tell(f"{stage}: the cluster answers again")
        return answer


@dataclass
class Following:
    """Of one job."""

    jobs: Jobs
    stage: str
    id: str
    resources: str
    tell: Callable[[str], object]
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    log: str = ""

    def to_the_end(self) -> Job | None:
        """The job as it ended; None if the cluster does not know it any more."""
        self._queued_since: float | None = None
        self._log_due = 0.0
        while True:
            job = self._asked()
            if job is None:
                return None
            if job.status == "PENDING":
                self._wait_in_queue(job.message)
            elif not job.is_live or self.clock() >= self._log_due:
                self._read_log(last=not job.is_live)
            if not job.is_live:
                return job
            self.sleep(_PAUSE)

    def _asked(self) -> Job | None:
        silent = partial(attempts.silent, self.stage, self.id)
        return patiently(lambda: self.jobs.job(self.id), self.stage, silent, self.tell, self.clock, self.sleep)

    def _wait_in_queue(self, reason: str) -> None:
        now = self.clock()
        if self._queued_since is None:
            self._queued_since = now
        elif now - self._queued_since >= 0 and now - self._queued_since >= attempts.SLOW:
            self.tell(attempts.queued(self.stage, now - self._queued_since, self.resources, reason))
            self._queued_since = float("inf")

    def _read_log(self, last: bool) -> None:
        """Whole lines as they come; at the end whatever is there."""
        log = self.jobs.log(self.id)
        self._log_due = self.clock() + len(log or "") / _LOG_RATE
        if not log or len(log) < len(self.log):
            return
        whole = len(log) if last else log.rfind("\n") + 1
        for line in attempts.story(log[len(self.log) : whole]):
            self.tell(f"   {line}")
        self.log = log[:whole]
