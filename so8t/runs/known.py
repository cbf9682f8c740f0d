"""The runs that the store still knows: each result with scores, and the artifacts that it was made from.  Pure.

A manifest names what a stage took by content, so the artifact that gave it is found by content, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from so8t.engine.why import flatten
from so8t.store.manifest import File, Manifest
from so8t.store.missed import Kept

SCORED = ("evaluation", "adapter_scores")  # the later says more


@dataclass(frozen=True)
class Run:
    """Artifacts by stage; scores that missed a bound were not published, and say why."""

    parts: Mapping[str, Manifest]
    missed: Kept | None = None

    @property
    def scored(self) -> Manifest:
        return next(self.parts[stage] for stage in SCORED if stage in self.parts)

    @property
    def key(self) -> str:
        return self.scored.key

    @cached_property
    def spec(self) -> dict[str, object]:
        """Every value that any of its stages read, by `stage.field`."""
        return {
            f"{stage}.{field}": value
            for stage, manifest in self.parts.items()
            for field, value in flatten(dict(manifest.fingerprint.spec)).items()
        }

    @property
    def size(self) -> int:
        return sum(file.size for manifest in self.parts.values() for file in manifest.files)

    def file(self, name: str) -> File | None:
        stage, _, path = name.partition("/")
        files = self.parts[stage].files if stage in self.parts else ()
        return next((file for file in files if file.path == path), None)


def known(manifests: Iterable[Manifest], missed: Iterable[Kept] = ()) -> list[Run]:
    """Oldest first, as the manifests come; scores of which a later stage knows are no run of their own."""
    published = list(manifests)
    by_stage: dict[str, list[Manifest]] = {}
    for manifest in published:
        by_stage.setdefault(manifest.fingerprint.stage, []).append(manifest)
    found = [*((one, None) for one in published), *((kept.manifest, kept) for kept in missed)]
    runs: list[Run] = []
    for stage in SCORED:
        told = {run.parts[stage].key for run in runs if stage in run.parts}
        for one, kept in found:
            if one.fingerprint.stage == stage and one.key not in told:
                told.add(one.key)
                runs.append(Run(traced(one, by_stage), kept))
    return runs


def traced(scored: Manifest, by_stage: Mapping[str, Iterable[Manifest]]) -> dict[str, Manifest]:
    """Of artifacts with the same content the newest is named; one that the store has let go of is missing."""
    parts, left = {scored.fingerprint.stage: scored}, [scored]
    while left:
        for stage, taken in _taken(left.pop()):
            if stage not in parts:
                given = [one for one in by_stage.get(stage, ()) if taken.items() <= one.digests.items()]
                if given:
                    parts[stage] = given[-1]
                    left.append(given[-1])
    return parts


def tuned(models: Mapping[str, Any]) -> str | None:
    """Of the models in a split's scores, the first that is not the base."""
    return next((name for name in models if name != "base"), None)


def _taken(manifest: Manifest) -> Iterator[tuple[str, dict[str, str]]]:
    """By stage above it, the files that it took; what has no stage is a source."""
    found: dict[str, dict[str, str]] = {}
    for name, digest in manifest.fingerprint.inputs.items():
        stage, _, path = name.partition("/")
        found.setdefault(stage, {})[path] = digest
    return iter(found.items())


def varying(runs: Iterable[Run]) -> list[str]:
    """The fields of specs that differ among the runs that have them."""
    seen: dict[str, set[str]] = {}
    for run in runs:
        for field, value in run.spec.items():
            seen.setdefault(field, set()).add(repr(value))
    return [field for field, values in seen.items() if len(values) > 1]
