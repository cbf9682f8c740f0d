"""What a build has before it, stage by stage, as lines of 80 columns.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from so8t.engine.outlook import duration, size
from so8t.planning.memory import ERROR


@dataclass(frozen=True)
class Ahead:
    """A stage of the build; what nobody knows yet is None.

    `advice`: what would need less memory, where that is told by shapes; None where it is what the last build took.
    """

    stage: str
    how: str  # built, restored, current
    disk: float | None = None
    memory: float | None = None
    seconds: float | None = None
    advice: str | None = None


@dataclass(frozen=True)
class Machine:
    disk: float
    memory: float | None


def problems(stages: Sequence[Ahead], machine: Machine) -> list[str]:
    """Why this build cannot come to its end here."""
    found = list(too_small(stages, machine))
    for each in stages:
        if each.advice is None and each.memory and machine.memory and each.memory > machine.memory:
            found.append(
                f"{each.stage}: {size(each.memory)} of memory were needed last time, and the machine has "
                f"{size(machine.memory)}"
            )
    return found


def too_small(stages: Sequence[Ahead], machine: Machine) -> Iterator[str]:
    """What is known without a build before it; memory only where it is too little even if the estimate is too high."""
    yield from _too_small_a_disk(stages, machine)
    for each in stages:
        if each.advice is not None and each.memory and machine.memory and each.memory > machine.memory * (1 + ERROR):
            yield (
                f"{each.stage}: about {size(each.memory)} of memory are needed, by its shapes, and the machine has "
                f"{size(machine.memory)}: {each.advice}"
            )


def _too_small_a_disk(stages: Sequence[Ahead], machine: Machine) -> Iterator[str]:
    needed = sum(each.disk or 0 for each in stages)
    if needed > machine.disk:
        yield (
            f"disk: {size(needed)} are needed, and {size(machine.disk)} are free: free some, or set retain: manifest "
            "for stages that are no longer read"
        )


def lines(profile: str, stages: Sequence[Ahead], machine: Machine) -> Iterator[str]:
    ahead = [each for each in stages if each.how != "current"]
    current = len(stages) - len(ahead)
    counts = [f"{sum(each.how == how for each in ahead)} to be {how}" for how in ("restored", "built")]
    yield f"{profile}: {len(stages)} stages: {current} up to date, {', '.join(counts)}"
    if not ahead:
        return
    yield f"{'':16}  {'will be':8}  {'disk':>9}  {'memory':>9}  {'time':>8}"
    for each in ahead:
        yield _row(each.stage, each.how, each.disk, each.memory, each.seconds)
    seconds = [each.seconds for each in ahead]
    memory = max((each.memory or 0 for each in ahead), default=0)
    disk = sum(each.disk or 0 for each in ahead)
    yield _row("in all", "", disk, memory or None, None if None in seconds else sum(each or 0 for each in seconds))
    yield _row("there is", "", machine.disk, machine.memory, None)
    by_shape = any(each.how == "built" and each.advice is not None for each in ahead)
    if by_shape:
        yield f"memory follows from the shapes of the models, to about {100 * ERROR:.0f} %"
    if any(each.how == "built" and each.seconds is None for each in ahead):
        what = "time is that" if by_shape else "memory and time are those"
        yield f"{what} of this profile's last build here; a first build has none"
    if any(each.stage == "base_model" and each.how == "built" and each.disk is None for each in ahead):
        yield "disk is told without the models: how large they are is known when the base is here"


def _row(name: str, how: str, disk: float | None, memory: float | None, seconds: float | None) -> str:
    sizes = [size(each) if each else "" for each in (disk, memory)]
    time = duration(seconds) if seconds is not None else ""
    return f"{name:16}  {how:8}  {sizes[0]:>9}  {sizes[1]:>9}  {time:>8}".rstrip()
