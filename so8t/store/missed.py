"""Results that missed a bound: whole, with their manifest and why, in a place where people look and no stage reads."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from so8t.store.fingerprint import Fingerprint
from so8t.store.layout import MANIFEST, Layout
from so8t.store.manifest import BadManifest, Manifest, decode
from so8t.store.publish import seal

WHY = "missed.txt"
OUTCOME = "missed"  # as the journal calls it


@dataclass(frozen=True)
class Kept:
    profile: str
    manifest: Manifest
    why: str
    folder: Path

    def sentence(self, layout: Layout) -> str:
        return f"{self.why}; its figures are in {layout.shown(self.folder)}, which no stage reads"


def put_by(layout: Layout, out: Path, wanted: Fingerprint, gives: Sequence[str], why: str) -> Kept:
    """Where people find it; the one of this stage before it goes.

    It is sealed there and not before: what is sealed in a work folder would be published by the next run.
    """
    place = layout.missed(wanted.stage)
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    out.replace(place)
    manifest = seal(place, wanted, gives)
    (place / WHY).write_text(f"{why}\n", "utf-8")
    return Kept(layout.profile, manifest, why, place)


def read(layout: Layout, stage: str) -> Kept | None:
    folder = layout.missed(stage)
    try:
        manifest = decode((folder / MANIFEST).read_bytes())
        return Kept(layout.profile, manifest, (folder / WHY).read_text("utf-8").strip(), folder)
    except (OSError, BadManifest):
        return None  # none, or one that a kill left in pieces


def every(layout: Layout) -> Iterator[Kept]:
    """Of all profiles, by their names."""
    for folder in sorted(layout.artifacts.glob(f"*/.so8t/missed/*/{MANIFEST}")):
        profile, stage = folder.parents[3].name, folder.parent.name
        if found := read(replace(layout, profile=profile), stage):
            yield found
