"""What is asked of whatever places jobs on nodes, Ray or another: the contract, and what a job is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from so8t.cluster.attempts import Job
from so8t.cluster.order import Order


class Unreachable(Exception):
    """No answer; the job may go on all the same."""


class Taken(Exception):
    """A job with this id is there already: somebody else was quicker."""


@dataclass(frozen=True)
class Wants:
    """What a node must have free; 0 is not asked for."""

    CPU: float = 0.0
    GPU: float = 0.0
    memory: int = 0  # bytes
    named: Mapping[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        found = [f"{name}: {value:g}" for name, value in (("CPU", self.CPU), ("GPU", self.GPU)) if value]
        if self.memory:
            found.append(f"memory: {self.memory / (1 << 30):g} GiB")
        found += [f"{name}: {value:g}" for name, value in self.named.items()]
        return ", ".join(found) or "room"


@dataclass(frozen=True)
class Parcel:
    """All that a job is made of."""

    command: Sequence[str]
    files: Mapping[str, Path]  # by the place that each has in the job's working directory
    order: Order
    environment: Mapping[str, str]
    wants: Wants
    told: Mapping[str, str]  # for the cluster's own pages


class Jobs(Protocol):
    """A cluster that takes jobs.  Each question may raise Unreachable."""

    def check(self) -> None:
        """StageError with the next step, if jobs cannot be given to it, or must not be."""

    def of(self, key: str) -> list[Job]:
        """At least those of this key, with ids as `attempts.name` makes them."""

    def job(self, id: str) -> Job | None:
        """None: the cluster does not know it."""

    def log(self, id: str) -> str | None:
        """All that it said; None where that cannot be had, as of a node that is gone."""

    def submit(self, id: str, parcel: Parcel) -> None:
        """Taken, if there is one with this id."""

    def stop(self, id: str) -> None: ...
