"""Bring one artifact to its place: it is there, or finished, or in the store, or built; always by one rename.

The callable core of building: it knows a layout, a store, a key and a function that fills a folder, and no graph.
Killed at any moment, the next call goes on from what is on the disk.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from so8t.errors import StageError
from so8t.store import artifact, carried
from so8t.store.cache import Store
from so8t.store.carried import Place
from so8t.store.fingerprint import Fingerprint
from so8t.store.layout import Layout
from so8t.store.manifest import File, Manifest
from so8t.store.publish import leftover, publish, seal, stand, write_manifest

ATTEMPTS = 3  # a build whose inputs or code change under it starts over
LONGEST = 600  # seconds that a stage which hears that it should end may take: a step, and its checkpoint
AGAIN = 75  # exit code of a stage's process: start a new one, for the code changed under this one

# fills a folder, and gives the digests that it took while writing; or a manifest, whose files the mirror has
Build = Callable[[Path], Mapping[str, File] | Manifest | None]


class InputsChanged(Exception):
    """What was built is worth nothing: an input changed meanwhile."""


@dataclass(frozen=True)
class Target:
    """What is wanted, and where it belongs."""

    layout: Layout
    store: Store
    wanted: Fingerprint
    gives: tuple[str, ...]
    ships: tuple[str, ...] = ()
    resumable: bool = False
    precious: bool = False
    stays_away: bool = False  # its files stay in the mirror, and the manifest alone comes
    checkpoints: float = 0.0  # minutes between two that go to the mirror while it is built; 0: they stay here

    @property
    def stage(self) -> str:
        return self.wanted.stage

    @property
    def work(self) -> Path:
        return self.layout.work(self.stage, self.wanted.key)


def bring(target: Target, build: Build, anew: bool = False) -> str:
    """How the artifact came to be in its place: reused, finished, restored or built; `anew` builds whatever is there.

    The caller holds the stage's lock.
    """
    if not anew:
        if _is_published(target):
            return "reused"
        if _finish(target):
            return "finished"
        if _restore(target):
            return "restored"
    out = _work_folder(target)
    try:
        with _carrying(target, out):
            hashed = build(out)
    except InputsChanged:
        shutil.rmtree(target.work)
        raise
    if isinstance(hashed, Manifest):
        if not _stand(target, hashed):
            raise StageError(f"{target.stage}: the store has its entry and not all of its files; run doit again")
    else:
        _publish(target, out, seal(out, target.wanted, target.gives, target.ships, hashed))
    return "built"


def _carrying(target: Target, out: Path) -> AbstractContextManager[None]:
    """Its checkpoints come from the mirror and go there, by whoever may publish its result, too."""
    mirror = target.store.mirror
    if mirror is None or not target.checkpoints:
        return nullcontext()
    return carried.carried(Place(mirror, target.stage, target.wanted.key, out), target.checkpoints)


def _is_published(target: Target) -> bool:
    have = artifact.inspect(target.layout, target.stage)
    return have.is_whole and have.manifest is not None and have.manifest.key == target.wanted.key


def _finish(target: Target) -> bool:
    """Put in place what was sealed under this key before a kill."""
    out = target.work / "out"
    sealed = leftover(out, target.wanted.key)
    if sealed is not None:
        _publish(target, out, sealed)
    return sealed is not None


def _restore(target: Target) -> bool:
    """Put in place what the store has under this key."""
    manifest, out = target.store.find(target.wanted.key), target.work / "restored"
    if manifest is None:
        return False
    if target.stays_away and target.store.is_away(manifest):
        return _stand(target, manifest)
    if not target.store.restore(manifest, out):
        return False
    write_manifest(out, manifest)
    _publish(target, out, manifest)
    return True


def _stand(target: Target, manifest: Manifest) -> bool:
    """Put the manifest in place, with its small documents; False where the store has not even those."""
    out = target.work / "standing"
    shutil.rmtree(out, ignore_errors=not out.exists())
    if not target.store.restore_some([file for file in manifest.files if artifact.is_document(file)], out):
        return False
    _tell(target, stand(target.layout, out, manifest, target.store))
    shutil.rmtree(target.work, ignore_errors=True)
    return True


def _work_folder(target: Target) -> Path:
    """This key's work folder: as it was left if the stage can go on from there, else empty."""
    if not target.resumable:
        for old in sorted((target.layout.state / "work").glob(f"{target.stage}-*")):
            _salvage(target, old / "out")
            shutil.rmtree(old)
    out = target.work / "out"
    out.mkdir(parents=True, exist_ok=True)
    return out


def _salvage(target: Target, out: Path) -> None:
    """A result of another key that was sealed and, for a kill, not put in place goes to the store."""
    sealed = leftover(out)
    if sealed is not None:
        target.store.keep(out, sealed, target.precious)
        target.store.take_over(out, target.layout.state / "set-aside" / target.stage)


def _publish(target: Target, out: Path, manifest: Manifest) -> None:
    layout, stage = target.layout, target.stage
    try:
        aside = publish(layout, out, manifest, target.store, target.precious)
    except PermissionError as error:
        if os.name != "nt":
            raise
        folder = layout.shown(layout.folder(stage))
        raise StageError(f"{folder} is in use by another program; close it and run doit again") from error
    _tell(target, aside)
    shutil.rmtree(out.parent, ignore_errors=True)


def _tell(target: Target, aside: Sequence[Path]) -> None:
    for path in aside:
        shown = target.layout.shown(path)
        print(f"{target.stage}: a file that doit did not write was set aside as {shown}", file=sys.stderr)
