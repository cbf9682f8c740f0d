"""What a build has before it, by what the journal says each stage took the last time.  For a person at a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from so8t.engine.status import Session
from so8t.errors import DataError
from so8t.store import journal

LONG = 2.0  # seconds below which nobody asks how long it will take


class Outlook:
    """Made when the first stage begins: the stages that are not current then, in the order of the flow."""

    def __init__(self, session: Session, asked: Sequence[str]) -> None:
        layout = session.plan.layout
        try:
            self.expected = seconds(journal.read(layout), layout.profile)
        except DataError as error:
            print(f"warning: {error}", file=sys.stderr)
            self.expected = {}
        self.stages = [name for name in session.plan.above(asked) if not session.is_current(name)]

    def after(self, stage: str) -> str:
        """`3 of 15, about 2:10 left`; empty for a stage that was current after all.

        A stage whose inputs come out as they were is not built after all, so it is that much at most.
        """
        if stage not in self.stages:
            return ""
        place = self.stages.index(stage) + 1
        left = [self.expected.get(name) for name in self.stages[place:]]
        known = sum(each for each in left if each)
        told = f", about {duration(known)} left" if left and None not in left and known >= LONG else ""
        return f"{place} of {len(self.stages)}{told}"


def seconds(entries: Iterable[Mapping[str, Any]], profile: str) -> dict[str, float]:
    return {stage: entry["seconds"] for stage, entry in last(entries, profile).items()}


def last(entries: Iterable[Mapping[str, Any]], profile: str) -> dict[str, Mapping[str, Any]]:
    """What the journal says of each stage's last build: this profile's own, or that of any other where it has none."""
    found: dict[str, Mapping[str, Any]] = {}
    own: dict[str, Mapping[str, Any]] = {}
    for entry in entries:
        if entry["outcome"] == "built":
            found[entry["stage"]] = entry
            if entry["profile"] == profile:
                own[entry["stage"]] = entry
    return found | own


def duration(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"


def size(count: float) -> str:
    amount, unit = float(count), "B"
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024 or unit == "GiB":
            break
        amount /= 1024
    return f"{amount:,.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
