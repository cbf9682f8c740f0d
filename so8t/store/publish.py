"""The only way for an artifact to appear: complete, hashed, synced, its manifest written last, by one rename."""

from __future__ import annotations

import fnmatch
import os
import secrets
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from so8t.errors import StageError
from so8t.store import artifact
from so8t.store.atomic import sync
from so8t.store.cache import Store
from so8t.store.digest import Signature, blake3_of, sha256_of, signature
from so8t.store.fingerprint import Fingerprint
from so8t.store.layout import MANIFEST, Layout
from so8t.store.manifest import BadManifest, File, Manifest, decode, is_inside


def seal(
    out: Path,
    fingerprint: Fingerprint,
    gives: Sequence[str],
    ships: Sequence[str] = (),
    hashed: Mapping[str, File] | None = None,
) -> Manifest:
    """Hash and sync what a build left in its work folder and write the manifest, last.

    `hashed` holds files whose digests were taken while they were written.
    """
    paths = sorted(_files(out))
    _check_promise(fingerprint.stage, paths, gives)
    before = _signatures(out, paths)
    files = tuple(_hash(out, path, ships, (hashed or {}).get(path)) for path in paths)
    for folder, _, _ in os.walk(out):
        sync(Path(folder))
    after = _signatures(out, sorted(_files(out)))
    for path in sorted(before.keys() | after.keys()):
        if before.get(path) != after.get(path):
            raise StageError(f"{fingerprint.stage}: {path} was still being written after the build had ended")
    manifest = Manifest(fingerprint, files)
    write_manifest(out, manifest)
    return manifest


def _signatures(out: Path, paths: Sequence[str]) -> dict[str, Signature | None]:
    return {path: signature(out / path) for path in paths}


def write_manifest(out: Path, manifest: Manifest) -> None:
    part = out / f"{MANIFEST}.part"
    part.write_bytes(manifest.encode())
    sync(part)
    os.replace(part, out / MANIFEST)
    sync(out)


def _files(out: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(out):
        for name in [*folders, *names]:
            path = Path(folder, name)
            if path.is_symlink():
                raise StageError(f"{path.relative_to(out).as_posix()} is a link; an artifact holds files only")
            if name in names and not path.is_file():
                raise StageError(f"{path.relative_to(out).as_posix()} is not a file; an artifact holds files only")
        for name in names:
            path = Path(folder, name)
            if path.relative_to(out).as_posix() not in (MANIFEST, f"{MANIFEST}.part"):
                _open(path)
                yield path.relative_to(out).as_posix()


def _open(path: Path) -> None:
    """Windows neither syncs nor removes a read-only file; whoever may read the folder may read what lies in it."""
    mode, folder = path.stat().st_mode, path.parent.stat().st_mode
    wanted = mode | stat.S_IWUSR | folder & (stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
    if wanted != mode:
        path.chmod(wanted)


def _check_promise(stage: str, paths: Sequence[str], gives: Sequence[str]) -> None:
    for given in gives:
        if not any(path == given or (given.endswith("/") and path.startswith(given)) for path in paths):
            raise StageError(f"{stage} promised {given} and did not write it")
    for path in paths:
        if not any(path == given or (given.endswith("/") and path.startswith(given)) for given in gives):
            raise StageError(f"{stage} wrote {path}, which it does not declare in gives")
        if not is_inside(path):
            raise StageError(f"{stage} wrote {path!a}, a name that not every system can hold (no colon, no backslash)")


def _hash(out: Path, path: str, ships: Sequence[str], known: File | None) -> File:
    full = out / path
    sync(full)
    size = full.stat().st_size
    shipped = any(fnmatch.fnmatchcase(path, pattern) for pattern in ships)
    if known is not None and known.size == size:
        return File(path, size, known.blake3, (known.sha256 or sha256_of(full)) if shipped else None)
    return File(path, size, blake3_of(full), sha256_of(full) if shipped else None)


def publish(layout: Layout, out: Path, manifest: Manifest, store: Store, precious: bool = False) -> list[Path]:
    """Put a sealed folder in its place; what stood there goes to the store.

    Killed at any point, the sealed folder is either in place or still in the work folder, where the next run
    finds it.  Returns where files that were not the old artifact's own have been set aside.
    """
    stage = manifest.fingerprint.stage
    store.keep(out, manifest, precious)
    aside = _put(layout, stage, out, store)
    artifact.record(layout, stage, manifest, layout.folder(stage))
    layout.forgotten(stage).unlink(missing_ok=True)
    return aside


def stand(layout: Layout, out: Path, manifest: Manifest, store: Store) -> list[Path]:
    """As `publish`, for a manifest whose files stay in the mirror; `out` has those that are kept with it."""
    stage = manifest.fingerprint.stage
    write_manifest(out, manifest)
    store.enter(manifest)
    artifact.note_dropped(layout, stage, manifest)
    aside = _put(layout, stage, out, store)
    layout.forgotten(stage).unlink(missing_ok=True)
    return aside


def _put(layout: Layout, stage: str, out: Path, store: Store) -> list[Path]:
    aside = displace(layout, stage, store)
    layout.folder(stage).parent.mkdir(parents=True, exist_ok=True)
    os.replace(out, layout.folder(stage))
    sync(layout.folder(stage).parent)
    return aside


def leftover(out: Path, key: str | None = None) -> Manifest | None:
    """The manifest of a folder that was sealed, under this key or any, and not yet put in place."""
    try:
        manifest = decode((out / MANIFEST).read_bytes())
    except (OSError, BadManifest):
        return None
    if key is not None and manifest.key != key:
        return None
    try:
        if sorted(_files(out)) != [file.path for file in manifest.files]:
            return None
    except StageError:
        return None
    return manifest if all(blake3_of(out / file.path) == file.blake3 for file in manifest.files) else None


def displace(layout: Layout, stage: str, store: Store) -> list[Path]:
    """Take an artifact out of its place: its files go to the store, files that are not its own are set aside."""
    folder = layout.folder(stage)
    waiting = layout.state / "displaced"
    if os.path.lexists(folder):
        waiting.mkdir(parents=True, exist_ok=True)
        os.replace(folder, waiting / f"{stage}-{secrets.token_hex(8)}")
    aside = []
    for left in sorted(waiting.glob(f"{stage}-*")):
        aside += store.take_over(left, layout.state / "set-aside" / stage)
    return aside
