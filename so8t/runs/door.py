"""The door: runs, and what lies in their files, are read here from the store and the journal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from so8t.engine import plan as plans
from so8t.engine.plan import Plan
from so8t.engine.status import Session
from so8t.errors import UserError
from so8t.formats import records
from so8t.runs import differences, known
from so8t.runs.differences import Data, Differences
from so8t.runs.known import Run
from so8t.store import artifact, journal, missed

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
        runs = map(self._in_order, known.known(self.plan.store.manifests(), missed.every(self.plan.layout)))
        found = [(run, _told(run, by_key)) for run in runs]
        return sorted(found, key=lambda each: each[1].when if each[1] else "")

    def named(self, name: str) -> Run:
        """By a profile, which stands for what is published of it or missed a bound, or by the beginning of a key."""
        layout = self.plan.layout
        if (layout.artifacts / name).is_dir():
            run = self._missed(name) or self._published(name)
            if run is None:
                raise UserError(f"{name}: has no scores yet; run doit profile={name}")
            return run
        found = [run for run, _ in self.all() if len(name) >= SHORTEST and run.key.startswith(name)]
        if len(found) == 1:
            return found[0]
        which = f"{len(found)} runs begin so" if found else "neither a profile with artifacts nor a run's key"
        raise UserError(f"{name}: {which}; doit runs lists them")

    def _published(self, profile: str) -> Run | None:
        layout = replace(self.plan.layout, profile=profile)
        there = {stage: artifact.inspect(layout, stage).manifest for stage in self.plan.rows}
        parts = {stage: manifest for stage, manifest in there.items() if manifest is not None}
        return Run(parts) if parts.keys() & known.SCORED else None

    def _missed(self, profile: str) -> Run | None:
        layout = replace(self.plan.layout, profile=profile)
        if not any(missed.read(layout, stage) for stage in known.SCORED):
            return None
        run = self.current(plans.load(layout.project, profile))
        return run if run and run.missed else None

    def current(self, plan: Plan) -> Run | None:
        """The scores that a profile's specs and code ask for, published or, where they missed a bound, put by."""
        session = Session(plan)
        parts = {
            name: have for name in plan.rows if session.is_current(name) and (have := session.artifact(name).manifest)
        }
        for stage in (each for each in known.SCORED if each in plan.rows):
            if stage in parts:
                return Run(parts)
            if kept := session.missed(stage):
                return self._in_order(Run({**parts, stage: kept.manifest}, kept))
        return None

    def _in_order(self, run: Run) -> Run:
        """Its stages as the graph has them; one that the graph has no more comes last."""
        flow = [*self.plan.rows, *run.parts]
        return replace(run, parts={stage: run.parts[stage] for stage in sorted(run.parts, key=flow.index)})

    def path(self, run: Run, name: str) -> Path | None:
        file = run.file(name)
        if run.missed and name.startswith(f"{run.scored.fingerprint.stage}/"):
            return run.missed.folder / file.path if file else None
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

    def told(self, run: Run) -> Told | None:
        return _told(run, journal.by_key(self.plan.layout))

    def questions(self, runs: Iterable[Run], ids: Set[str]) -> dict[str, str]:
        """What was asked, by record, of the held-out splits that the store still has."""
        found: dict[str, str] = {}
        for run in runs:
            files = run.parts["thinking_sft"].files if "thinking_sft" in run.parts else ()
            for file in files:
                path = self.plan.store.at_hand(file) if file.path.startswith("splits/") else None
                held_out = records.read(path) if path and file.path != "splits/train.jsonl" else ()
                found.update({one["id"]: one["messages"][-2]["content"] for one in held_out if one["id"] in ids})
        return found

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
