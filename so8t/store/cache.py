"""The store: every published artifact by key, its files by content, shared by the profiles of a checkout.

The store never shares an inode with an artifact, so editing an artifact in place cannot damage it:
a file is cloned where the file system can, copied while it is small or precious, and otherwise handed over by a
rename when another artifact takes its place.  Nothing leaves the store unverified.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from so8t.errors import StageError
from so8t.store.atomic import move, sync, write_atomic
from so8t.store.digest import blake3_of
from so8t.store.layout import MANIFEST
from so8t.store.manifest import BadManifest, File, Manifest, decode
from so8t.store.mirror import Mirror
from so8t.store.objects import MirrorError

T = TypeVar("T")
_FICLONE = 0x40049409


@dataclass(frozen=True)
class Store:
    artifacts: Path
    copy_below: int = 64 << 20
    mirror: Mirror | None = None
    private: frozenset[str] = frozenset()  # stages whose results stay on this machine
    relies: bool = False  # others wait for what goes to the mirror: one that fails fails the stage

    @property
    def root(self) -> Path:
        return self.artifacts / ".so8t" / "store"

    def entry(self, key: str) -> Path:
        return self.root / "entries" / f"{key}.json"

    def blob(self, digest: str) -> Path:
        return self.root / "blobs" / digest[:2] / digest

    # ---- in ----------------------------------------------------------------------------------------------

    def keep(self, folder: Path, manifest: Manifest, precious: bool = False) -> None:
        """Remember a sealed folder by its key, with a copy of each file that is cheap or precious."""
        for file in manifest.files:
            if not self._has(file):
                anyway = precious or file.size <= self.copy_below
                self._copy_in(folder / file.path, self.blob(file.blake3), anyway)
        self.enter(manifest)
        if self.mirror is not None and manifest.fingerprint.stage not in self.private:
            self._warned(lambda mirror: mirror.upload(folder, manifest))

    def enter(self, manifest: Manifest) -> None:
        """Remember a result by its key, wherever its files are."""
        write_atomic(self.entry(manifest.key), manifest.encode())

    def _copy_in(self, source: Path, blob: Path, anyway: bool) -> None:
        blob.parent.mkdir(parents=True, exist_ok=True)
        part = blob.with_name(f"{blob.name}.{os.getpid()}.part")
        try:
            if clone(source, part) or (anyway and shutil.copyfile(source, part)):
                sync(part)
                os.replace(part, blob)
        finally:
            part.unlink(missing_ok=True)

    def take_over(self, folder: Path, aside: Path) -> list[Path]:
        """Empty a displaced artifact folder into the store; files that are not as published are set aside."""
        if folder.is_symlink() or folder.is_file():
            return [_set_aside(folder, aside, aside.name)]  # never follow a link out of the artifacts
        manifest = _read(folder / MANIFEST)
        owned = {file.path: file for file in manifest.files} if manifest else {}
        kept = manifest is not None and self.entry(manifest.key).exists()
        kept_aside = []
        for path in sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()):
            name = path.relative_to(folder).as_posix()
            file = owned.get(name)
            if name == MANIFEST and not path.is_symlink():
                continue
            if file is None or not _holds(path, file):
                kept_aside.append(_set_aside(path, aside, name))
            elif kept:
                self._hand_over(path, file)
            else:
                path.unlink()
        shutil.rmtree(folder)
        return kept_aside

    def _hand_over(self, path: Path, file: File) -> None:
        """Move a verified file into the store; one that has it already is healed by it, or none the worse."""
        try:
            move(path, self.blob(file.blake3))
        except PermissionError:
            if os.name != "nt" or not self._has(file):
                raise
            path.unlink()  # Windows does not replace a file that somebody reads

    def _has(self, file: File) -> bool:
        """Whether a blob of the right size is there; only reading it tells whether it is sound."""
        blob = self.blob(file.blake3)
        return blob.is_file() and blob.stat().st_size == file.size

    def forget_files(self, manifest: Manifest) -> None:
        """Let the files of an entry go, but for those that another entry has too."""
        others = [_read(path) for path in (self.root / "entries").glob("*.json") if path.stem != manifest.key]
        shared = {file.blake3 for other in others if other for file in other.files}
        for file in manifest.files:
            if file.blake3 not in shared:
                self.blob(file.blake3).unlink(missing_ok=True)

    # ---- out ---------------------------------------------------------------------------------------------

    def manifests(self) -> list[Manifest]:
        """Of all results that it knows, those used last at the end."""
        entries = sorted((self.root / "entries").glob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))
        return [manifest for path in entries if (manifest := _read(path)) is not None]

    def at_hand(self, file: File) -> Path | None:
        """Where a file with this content lies, to be read; None where its bytes were let go."""
        return next((path for path in (self.blob(file.blake3), *self._holders(file)) if _holds(path, file)), None)

    def find(self, key: str) -> Manifest | None:
        manifest = _read(self.entry(key))
        if manifest is None and self.mirror is not None:
            manifest = self._warned(lambda mirror: mirror.manifest(key))
        return manifest if manifest is not None and manifest.key == key else None

    def is_away(self, manifest: Manifest) -> bool:
        """Whether the mirror has it."""
        return self.mirror is not None and self._warned(lambda mirror: mirror.manifest(manifest.key)) == manifest

    def restore(self, manifest: Manifest, into: Path) -> bool:
        """Assemble an artifact's files and nothing else, each verified; False if one is nowhere to be had."""
        _keep_only(into, manifest)
        if not all(self._available(file, into) for file in manifest.files):
            return False
        if not self.restore_some(manifest.files, into):
            return False
        entry = self.entry(manifest.key)
        if entry.exists():
            os.utime(entry)  # recently used: the last to go when space is needed
        else:
            self.enter(manifest)
        return True

    def restore_some(self, files: Sequence[File], into: Path) -> bool:
        """These files of an artifact alone, each verified; False if one is nowhere to be had."""
        into.mkdir(parents=True, exist_ok=True)
        lacking = [(file, into / file.path) for file in files if not self._bring(file, into / file.path)]
        return not lacking or bool(self.mirror and self._warned(lambda mirror: mirror.download(lacking)))

    def _available(self, file: File, into: Path) -> bool:
        at_hand = (into / file.path).exists() or self._has(file) or self.mirror is not None
        return at_hand or any(self._holders(file))

    def _bring(self, file: File, target: Path) -> bool:
        target.parent.mkdir(parents=True, exist_ok=True)
        if _holds(target, file) or self._bring_blob(file, target):
            return True
        return any(_copy(source, target, file) for source in self._holders(file))

    def _bring_blob(self, file: File, target: Path) -> bool:
        blob = self.blob(file.blake3)
        if not blob.is_file():
            return False
        try:
            if file.size <= self.copy_below:
                sound = _copy(blob, target, file)
            elif (sound := _holds(blob, file)) and not clone(blob, target):
                move(blob, target)
        except FileNotFoundError:
            return False  # another profile took it just now, or gc did
        if not sound:
            blob.unlink(missing_ok=True)  # damaged: better gone than tried again
        return sound

    def _holders(self, file: File) -> Iterator[Path]:
        """Files of this content in artifacts of any profile: current, displaced, or sealed and not yet in place."""
        places = ("*/*", "*/.so8t/displaced/*", "*/.so8t/work/*/out")
        for path in sorted(path for place in places for path in self.artifacts.glob(f"{place}/{MANIFEST}")):
            manifest = _read(path)
            for other in manifest.files if manifest else ():
                if other.blake3 == file.blake3 and (path.parent / other.path).is_file():
                    yield path.parent / other.path

    def _warned(self, call: Callable[[Mirror], T]) -> T | None:
        assert self.mirror is not None
        try:
            return call(self.mirror)
        except MirrorError as error:
            if self.relies:
                raise StageError(f"{error}; nothing was published, run doit again") from error
            print(f"warning: {error}; going on without the mirror", file=sys.stderr)
            return None


def clone(source: Path, target: Path) -> bool:
    """Share the blocks of a file, copy on write, where the file system can (btrfs, xfs, bcachefs)."""
    if sys.platform != "linux":
        return False
    import fcntl

    with source.open("rb") as old, target.open("wb") as new:
        try:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
        except OSError:
            return False
    return True


def _read(path: Path) -> Manifest | None:
    try:
        return decode(path.read_bytes())
    except (OSError, BadManifest):
        return None


def _holds(path: Path, file: File) -> bool:
    """Whether a path is a plain file with this content."""
    try:
        plain = path.is_file() and not path.is_symlink() and path.stat().st_size == file.size
        return plain and blake3_of(path) == file.blake3
    except FileNotFoundError:
        return False


def _copy(source: Path, target: Path, file: File) -> bool:
    """Copy a file that may change or vanish meanwhile; False if what arrived is not what was meant."""
    try:
        if not clone(source, target):
            shutil.copyfile(source, target)
    except FileNotFoundError:
        return False
    if not _holds(target, file):
        return False
    sync(target)
    return True


def _keep_only(folder: Path, manifest: Manifest) -> None:
    """Take out of a half-restored folder what an earlier attempt at another manifest left there."""
    wanted = {file.path for file in manifest.files}
    for path in folder.rglob("*"):
        if not path.is_dir() and path.relative_to(folder).as_posix() not in wanted:
            path.unlink()


def _set_aside(path: Path, aside: Path, name: str) -> Path:
    aside.mkdir(parents=True, exist_ok=True)
    target = aside / name.replace("/", "__")
    number = 1
    while os.path.lexists(target):
        number += 1
        target = aside / f"{number}-{name.replace('/', '__')}"
    os.replace(path, target)
    return target
