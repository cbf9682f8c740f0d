"""The door: runs, and what lies in their files, are read here from the store and the journal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from so8t.engine.plan import Plan
from so8t.errors import UserError
from so8t.formats import records
from so8t.runs import differences, known
from so8t.runs.differences import Data, Differences
from so8t.runs.known import Run
from so8t.store import artifact, journal

RECORDS = ("raw/raw.jsonl", "thinking_sft/thinking_sft.jsonl")  # what came in, and what was learned from
SHORTEST = 4  # letters of a key that may name a run


@dataclass(frozen=True)
class Told:
    """What the journal says of a run: by whichever profile it was made last, and all the time that its stages took."""

    profile: str
    when: str
    host: str
    seconds: float


@dataclass(frozen=True)
class Runs:
    plan: Plan

    def all(self) -> list[tuple[Run, Told | None]]:
        """Oldest first."""
        by_key = journal.by_key(self.plan.layout)
        runs = map(self._in_order, known.known(self.plan.store.manifests()))
        found = [(run, _told(run, by_key)) for run in runs]
        return sorted(found, key=lambda each: each[1].when if each[1] else "")

    def named(self, name: str) -> Run:
        """By a profile, which stands for what is published of it, or by the beginning of the run's key."""
        layout = self.plan.layout
        if (layout.artifacts / name).is_dir():
            return self._published(name)
        found = [run for run, _ in self.all() if len(name) >= SHORTEST and run.key.startswith(name)]
        if len(found) == 1:
            return found[0]
        which = f"{len(found)} runs begin so" if found else "neither a profile with artifacts nor a run's key"
        raise UserError(f"{name}: {which}; doit runs lists them")

    def _published(self, profile: str) -> Run:
        layout = replace(self.plan.layout, profile=profile)
        there = {stage: artifact.inspect(layout, stage).manifest for stage in self.plan.rows}
        parts = {stage: manifest for stage, manifest in there.items() if manifest is not None}
        if not any(stage in parts for stage in known.SCORED):
            raise UserError(f"{profile}: has no scores yet; run doit profile={profile}")
        return Run(parts)

    def _in_order(self, run: Run) -> Run:
        """Its stages as the graph has them; one that the graph has no more comes last."""
        flow = [*self.plan.rows, *run.parts]
        return Run({stage: run.parts[stage] for stage in sorted(run.parts, key=flow.index)})

    def path(self, run: Run, name: str) -> Path | None:
        file = run.file(name)
        return self.plan.store.at_hand(file) if file else None

    def scores(self, run: Run) -> Mapping[str, Any]:
        path = self.path(run, f"{run.scored.fingerprint.stage}/scores.json")
        found = orjson.loads(path.read_bytes()) if path else {}
        return found.get("splits", found)

    def compare(self, before: Run, after: Run) -> Differences:
        return Differences(
            tuple(differences.values(before, after)),
            tuple(self._data(before, after)),
            tuple(differences.figures(self.scores(before), self.scores(after))),
            tuple(self._answers(before, after)),
        )

    def _data(self, before: Run, after: Run) -> Iterator[Data]:
        for name in RECORDS:
            old, new = before.file(name), after.file(name)
            if old and new and old.blake3 != new.blake3:
                found = differences.data(name, self._records(before, name), self._records(after, name))
                if found:
                    yield found

    def _answers(self, before: Run, after: Run) -> Iterator[differences.Answer]:
        stage = next((each for each in known.SCORED if each in before.parts and each in after.parts), None)
        if stage:
            name = f"{stage}/samples.jsonl"
            yield from differences.answers(self._records(before, name), self._records(after, name))

    def _records(self, run: Run, name: str) -> Iterator[records.Record]:
        path = self.path(run, name)
        if path is None:
            raise UserError(
                f"run {run.key[:8]}: the bytes of {name} are no longer in the store, so its records cannot be compared"
            )
        return records.read(path)


def _told(run: Run, by_key: Mapping[str, list[dict[str, Any]]]) -> Told | None:
    own = by_key.get(run.key)
    if not own:
        return None
    took = [_last_build(by_key.get(one.key, ())) for one in run.parts.values()]
    return Told(own[-1]["profile"], own[-1]["when"], own[-1]["host"], sum(took))


def _last_build(entries: Iterable[Mapping[str, Any]]) -> float:
    seconds = [each["seconds"] for each in entries if each["outcome"] == "built"]
    return seconds[-1] if seconds else 0.0
