"""The door: manifests of a profile and the files that they stand for, each checked when it is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from so8t.engine.why import flatten
from so8t.errors import UserError
from so8t.release import chain
from so8t.report import reading, splits
from so8t.report.facts import Facts, StageFacts, Value
from so8t.store import artifact, journal
from so8t.store.cache import Store
from so8t.store.layout import MANIFEST, Layout
from so8t.store.manifest import File, Manifest

SFT, SPLITS = "thinking_sft", "splits/"


@dataclass(frozen=True)
class Shelf:
    """The artifacts that a release tells of, and where their bytes are."""

    layout: Layout
    store: Store
    manifests: Mapping[str, Manifest]
    let_go: frozenset[str] = frozenset()  # stages whose files `retain` took away

    def spec(self, stage: str) -> Mapping[str, Any]:
        """The values that it was made from; none where it has no part in this."""
        return self.manifests[stage].fingerprint.spec if stage in self.manifests else {}

    def files(self, stage: str, folder: str) -> list[File]:
        """Of one artifact's folder."""
        return [file for file in self.manifests[stage].files if file.path.startswith(folder)]

    def path(self, stage: str, file: File) -> Path:
        """Where bytes with this digest lie, in any profile or in the store."""
        found = self.store.at_hand(file)
        if found is None and stage in self.let_go:
            raise UserError(
                f"release: the files of {stage} were let go (retain: manifest); take {stage} out of retain, then run "
                f"doit forget {stage} and doit {stage}"
            )
        if found is None:
            raise UserError(
                f"release: the bytes of {stage}/{file.path} are not what its manifest says, or are no longer there; "
                f"run doit verify --heal {stage}"
            )
        return found

    def document(self, name: str) -> Any | None:
        """A JSON file such as evaluation/scores.json; None where no such artifact has it."""
        stage, _, path = name.partition("/")
        files = self.manifests[stage].files if stage in self.manifests else ()
        file = next((file for file in files if file.path == path), None)
        return orjson.loads(self.path(stage, file).read_bytes()) if file else None


def shelf(layout: Layout, store: Store, wanted: Iterable[str]) -> Shelf:
    """All that the wanted stages were made from; UserError where that is not one whole."""
    folders = sorted(path.parent.name for path in layout.artifacts.glob(f"{layout.profile}/*/{MANIFEST}"))
    there = {stage: artifact.inspect(layout, stage) for stage in folders}
    for stage, have in there.items():
        if have.damage:
            raise UserError(f"release: {stage}/{have.damage[0]}; run doit verify --heal {stage}")
    manifests = chain.above(wanted, {stage: have.manifest for stage, have in there.items() if have.manifest})
    chain.check(manifests)
    return Shelf(layout, store, manifests, frozenset(stage for stage, have in there.items() if have.dropped))


def facts(shelf: Shelf) -> Facts:
    """As a report has them, from manifests and the journal alone: no spec, no sample, no host."""
    journaled = journal.by_key(shelf.layout)
    found = {name: shelf.document(name) for name in reading.DOCUMENTS}
    return Facts(
        profile=shelf.layout.profile,
        stages=tuple(_stage(shelf, stage, journaled) for stage in shelf.manifests),
        documents={name: document for name, document in found.items() if document is not None},
        splits=splits.count(_splits(shelf)),
        artifacts=None,
        project=None,
    )


def _splits(shelf: Shelf) -> dict[str, Path]:
    """The files of the splits, by name."""
    files = shelf.files(SFT, SPLITS) if SFT in shelf.manifests else ()
    return {Path(file.path).stem: shelf.path(SFT, file) for file in files}


def _stage(shelf: Shelf, name: str, journaled: Mapping[str, Sequence[Mapping[str, Any]]]) -> StageFacts:
    manifest = shelf.manifests[name]
    values = tuple(Value(field, value) for field, value in flatten(dict(manifest.fingerprint.spec)).items())
    ups = tuple(chain.upstream(manifest, shelf.manifests))
    built = reading.built_of(journaled.get(manifest.key, ()), shelf.layout.profile)
    return StageFacts(name, "", ups, made=reading.made_of(manifest), values=values, built=built)
