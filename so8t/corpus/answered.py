"""Held-out questions that a model of the evaluation answered right: what it is known to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from so8t.formats import records
from so8t.formats.records import LABELS, Label


@dataclass(frozen=True)
class Answered:
    """One question of one user's message, its class, and the whole answer that the data gives it, thinking and all."""

    id: str
    label: Label
    question: str
    target: str


def right(samples: Path, splits: Path, model: str, count: int) -> list[Answered]:
    """At most so many, the classes in turn; in the evaluation's order, so the same ones each time."""
    found = {label: list[Answered]() for label in LABELS}
    wanted = _right(samples, model)
    for split in sorted({split for split, _ in wanted}):
        for record in records.read(splits / f"{split}.jsonl"):
            said = [message["content"] for message in record["messages"] if message["role"] == "user"]
            if (split, record["id"]) in wanted and len(said) == 1:
                target = record["messages"][-1]["content"]
                found[record["label"]].append(Answered(record["id"], record["label"], said[0], target))
    return list(_in_turn(found.values()))[:count]


def _right(samples: Path, model: str) -> set[tuple[str, str]]:
    """Split and id of those answered right in each way of asking; what a grammar held to the format says less."""
    found: dict[tuple[str, str], bool] = {}
    for each in records.read(samples):
        if (each["model"], each["way"]) == (model, "free"):
            place = (each["split"], each["id"])
            found[place] = found.get(place, True) and each["said"] == each["label"]
    return {place for place, right in found.items() if right}


def _in_turn(rows: Iterable[list[Answered]]) -> Iterator[Answered]:
    left = [row for row in rows if row]
    for at in range(max(map(len, left), default=0)):
        yield from (row[at] for row in left if at < len(row))
