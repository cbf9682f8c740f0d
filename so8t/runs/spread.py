"""What a sweep found: the figures of each run, and over seeds their mean and how far they lie apart.  Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from so8t.runs import known
from so8t.runs.axes import Axis
from so8t.runs.differences import numbers
from so8t.runs.grid import Member, short_names


@dataclass(frozen=True)
class Row:
    """A run: what was found, and why its profile is not whole if it is not."""

    member: Member
    key: str | None  # None: no scores
    scores: Mapping[str, Any]
    missed: str | None  # the bound that it missed
    failed: str | None  # the message of the stage that was not built

    @property
    def figures(self) -> dict[str, float]:
        return dict(numbers(self.scores))


@dataclass(frozen=True)
class Spread:
    mean: float
    deviation: float | None  # of the sample; of one run there is none
    lowest: float
    highest: float


@dataclass(frozen=True)
class Group:
    """The runs that differ in their seeds alone."""

    values: tuple[Any, ...]  # on the axes that are not seeds
    rows: tuple[Row, ...]

    @property
    def scored(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.key)

    @property
    def figures(self) -> dict[str, Spread]:
        """Of what all runs with scores have."""
        found = [row.figures for row in self.scored]
        shared = [name for name in (found[0] if found else ()) if all(name in each for each in found)]
        return {name: _spread([each[name] for each in found]) for name in shared}


@dataclass(frozen=True)
class Result:
    base: str
    axes: tuple[Axis, ...]
    rows: tuple[Row, ...]

    @property
    def is_whole(self) -> bool:
        return not any(row.failed for row in self.rows)

    @property
    def seeds(self) -> list[str]:
        return [axis.field for axis in self.axes if axis.is_seed]

    @property
    def groups(self) -> list[Group]:
        """None where no axis is a seed."""
        if not self.seeds:
            return []
        others = [at for at, axis in enumerate(self.axes) if not axis.is_seed]
        found: dict[str, list[Row]] = {}
        for row in self.rows:
            found.setdefault(repr([row.member.values[at] for at in others]), []).append(row)
        return [Group(tuple(rows[0].member.values[at] for at in others), tuple(rows)) for rows in found.values()]

    def label(self, member: Member) -> str:
        return " ".join(f"{name}={text}" for name, text in zip(short_names(self.axes), member.texts, strict=True))

    def group_label(self, group: Group) -> str:
        member = group.rows[0].member
        named = zip(self.axes, short_names(self.axes), member.texts, strict=True)
        return " ".join(f"{name}={text}" for axis, name, text in named if not axis.is_seed) or "all"

    def as_json(self) -> dict[str, Any]:
        fields = [axis.field for axis in self.axes]
        others = [axis.field for axis in self.axes if not axis.is_seed]
        return {
            "profile": self.base,
            "fields": fields,
            "seeds": self.seeds,
            "runs": [
                {
                    "profile": row.member.name,
                    "values": dict(zip(fields, row.member.values, strict=True)),
                    "key": row.key,
                    "missed": row.missed,
                    "failed": row.failed,
                    "figures": row.figures,
                }
                for row in self.rows
            ],
            "groups": [
                {
                    "values": dict(zip(others, group.values, strict=True)),
                    "runs": len(group.scored),
                    "missed": sum(bool(row.missed) for row in group.rows),
                    "figures": {name: asdict(spread) for name, spread in group.figures.items()},
                }
                for group in self.groups
            ],
        }


def tables(result: Result) -> list[tuple[str, str]]:
    """Split and the model that stands for it, of what any of the runs have."""
    found = ((split, known.tuned(models)) for row in result.rows for split, models in row.scores.items())
    return list(dict.fromkeys((split, model) for split, model in found if model))


def _spread(values: Sequence[float]) -> Spread:
    """Rounded to what scores are rounded to, and two digits more."""
    deviation = round(statistics.stdev(values), 6) if len(values) > 1 else None
    return Spread(round(statistics.fmean(values), 6), deviation, min(values), max(values))
