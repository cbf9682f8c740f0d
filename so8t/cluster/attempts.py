"""What to do about a key's jobs, decided from what the cluster says of them: no request is made here.

A job's id is the key and the number of the attempt, so whoever wants the same result finds the same job.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from so8t.cluster.order import WORD

MOST = 3  # attempts of one doit; the next doit begins to count anew
PATIENCE = 300.0  # seconds without an answer until doit leaves
SLOW = 30.0  # seconds in the queue until somebody is told
_LIVE = ("PENDING", "RUNNING")
_SHOWN = 8  # lines of a log in a message
_RAYS = re.compile(r"Running entrypoint for job |.*Runtime env is setting up\.")


@dataclass(frozen=True)
class Job:
    id: str
    status: str  # PENDING, RUNNING, SUCCEEDED, FAILED, STOPPED
    message: str = ""  # why it waits or failed, in the cluster's words
    code: int | None = None  # the exit code of its process, where that had one

    @property
    def is_live(self) -> bool:
        return self.status in _LIVE


@dataclass(frozen=True)
class Attach:
    id: str


@dataclass(frozen=True)
class Submit:
    id: str


def name(key: str, attempt: int) -> str:
    return f"so8t-{key}-{attempt}"


def attempt(key: str, id: str) -> int:
    """0: of another key."""
    before, _, number = id.rpartition("-")
    return int(number) if before == f"so8t-{key}" and number.isdecimal() else 0


def choose(key: str, jobs: Iterable[Job]) -> Attach | Submit:
    """Go on with the job that lives, or make one attempt more than there were."""
    mine = {number: job for job in jobs if (number := attempt(key, job.id))}
    last = max(mine, default=0)
    if last and mine[last].is_live:
        return Attach(mine[last].id)
    return Submit(name(key, last + 1))


# ---- how a job ended -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """Its result is in the store."""


@dataclass(frozen=True)
class Again:
    why: str


@dataclass(frozen=True)
class Failed:
    message: str
    is_mistake: bool = True


def verdict(stage: str, job: Job, word: Mapping[str, Any], log: str, tried: int) -> Done | Again | Failed:
    """Whoever had its say is believed; a job that was killed without it, or lost its node, is worth another attempt."""
    if "stopped" in word and job.status == "FAILED":  # by the cluster, and not by somebody
        return _again(stage, job, "was stopped", log, tried)
    if "error" in word:
        return Failed(f"{word['error']}\n(on {word.get('machine', 'a node')}, job {job.id})")
    if "bug" in word:
        text = f"{stage}: a bug in so8t or in the stage; please report it\n{word['bug']}"
        return Failed(f"{text}\n(on {word.get('machine', 'a node')}, job {job.id})", is_mistake=False)
    if job.status == "SUCCEEDED":
        return Done()
    if job.status == "STOPPED":
        return Failed(f"{stage}: job {job.id} was stopped; nothing was published, run doit again for another attempt")
    return _again(stage, job, "ended without a word", log, tried)


def _again(stage: str, job: Job, how: str, log: str, tried: int) -> Again | Failed:
    why = f"job {job.id} {how}: {_reason(job)}"
    if tried < MOST:
        return Again(why)
    return Failed(f"{stage}: {why}{_last(log)}\nthat was attempt {tried} of {MOST}; run doit again for more")


def lost(stage: str, id: str, tried: int) -> Again | Failed:
    """The head has forgotten it: it was started anew."""
    why = f"the cluster does not know job {id} any more: its head was started anew"
    return Again(why) if tried < MOST else Failed(f"{stage}: {why}; run doit again")


def _reason(job: Job) -> str:
    first = next(iter(job.message.strip().splitlines()), "")
    if job.code is not None and job.code < 0:
        return f"killed by signal {-job.code}"
    return first or f"status {job.status}"


def _last(log: str) -> str:
    lines = [line for line in story(log) if line.strip()][-_SHOWN:]
    return "".join(f"\n  {line}" for line in lines)


def story(log: str) -> list[str]:
    """The lines of a log that are for people."""
    return [line for line in log.splitlines() if not line.startswith(WORD) and not _RAYS.match(line)]


def deaf(stage: str, seconds: float) -> str:
    return f"{stage}: the cluster has not answered for {seconds:.0f} s: run doit again when it does"


def silent(stage: str, id: str, seconds: float) -> str:
    return (
        f"{stage}: the cluster has not answered for {seconds:.0f} s; job {id} may go on all the same: run doit again "
        "when the cluster answers"
    )


# ---- what people are told ------------------------------------------------------------------------------------


def queued(stage: str, seconds: float, resources: str, reason: str = "") -> str:
    why = f"{reason}, and it asks for {resources}" if reason else f"no node has {resources} free"
    return (
        f"{stage}: in the cluster's queue for {seconds:.0f} s: {why}; it goes on waiting "
        "(lower run.{0}.resources in profile.yaml if no node has as much)".format(stage)
    )
