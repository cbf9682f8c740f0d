"""Held-out questions that a model of the evaluation answered right: what it is known to know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from so8t.formats import records
from so8t.formats.records import LABELS, Label


@dataclass(frozen=True)
class Answered:
    """One question of one user's message, its class, if it has one, and the whole answer that the data gives it,
    thinking and all."""

    id: str
    label: Label | None
    question: str
    target: str


def right(samples: Path, splits: Path, model: str, count: int) -> list[Answered]:
    """At most so many, the classes in turn; in the evaluation's order, so the same ones each time."""
    found: dict[Label | None, list[Answered]] = {label: [] for label in (*LABELS, None)}
    wanted = _right(samples, model)
    for split in sorted({split for split, _ in wanted}):
        for record in records.read(splits / f"{split}.jsonl"):
            said = [message["content"] for message in record["messages"] if message["role"] == "user"]
            if (split, record["id"]) in wanted and len(said) == 1:
                target = record["messages"][-1]["content"]
                label = record.get("label")
                found[label].append(Answered(record["id"], label, said[0], target))
    return list(_in_turn(found.values()))[:count]


def _right(samples: Path, model: str) -> set[tuple[str, str]]:
    """Split and id of those answered right in each way of asking; what a grammar held to the format says less.

    Without a class, an answer is right that keeps the format and lets no thinking out.
    """
    found: dict[tuple[str, str], bool] = {}
    for each in records.read(samples):
        if (each["model"], each["way"]) == (model, "free"):
            place = (each["split"], each["id"])
            kept = each["label"] is not None or (each["problem"] is None and not each["leaks"])
            found[place] = found.get(place, True) and each["said"] == each["label"] and kept
    return {place for place, right in found.items() if right}


def _in_turn(rows: Iterable[list[Answered]]) -> Iterator[Answered]:
    left = [row for row in rows if row]
    for at in range(max(map(len, left), default=0)):
        yield from (row[at] for row in left if at < len(row))
