"""The store: every published artifact by key, its files by content, shared by the profiles of a checkout.

The store never shares an inode with an artifact, so editing an artifact in place cannot damage it:
a file is cloned where the file system can, copied while it is small or precious, and otherwise handed over by a
rename when another artifact takes its place.  Nothing leaves the store unverified.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from so8t.store.atomic import write_atomic
from so8t.store.digest import blake3_of
from so8t.store.layout import MANIFEST
from so8t.store.manifest import BadManifest, File, Manifest, decode
from so8t.store.mirror import Mirror, MirrorError

T = TypeVar("T")
_FICLONE = 0x40049409


@dataclass(frozen=True)
class Store:
    artifacts: Path
    copy_below: int = 64 << 20
    mirror: Mirror | None = None

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
            blob = self.blob(file.blake3)
            if not blob.exists():
                self._copy_in(folder / file.path, blob, anyway=precious or file.size <= self.copy_below)
        write_atomic(self.entry(manifest.key), manifest.encode())
        if self.mirror is not None:
            self._warned(lambda mirror: mirror.upload(folder, manifest))

    def _copy_in(self, source: Path, blob: Path, anyway: bool) -> None:
        blob.parent.mkdir(parents=True, exist_ok=True)
        part = blob.with_name(f"{blob.name}.{os.getpid()}.part")
        try:
            if clone(source, part) or (anyway and shutil.copyfile(source, part)):
                os.replace(part, blob)
        finally:
            part.unlink(missing_ok=True)

    def take_over(self, folder: Path, aside: Path) -> list[Path]:
        """Empty a displaced artifact folder into the store; files that are not as published are set aside."""
        manifest = _read(folder / MANIFEST)
        owned = {file.path: file for file in manifest.files} if manifest else {}
        kept_aside = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            name = path.relative_to(folder).as_posix()
            file = owned.get(name)
            if name == MANIFEST:
                continue
            if file is None or path.stat().st_size != file.size or blake3_of(path) != file.blake3:
                kept_aside.append(_set_aside(path, aside, name))
            elif not self.blob(file.blake3).exists() and self.entry(manifest.key if manifest else "").exists():
                self.blob(file.blake3).parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, self.blob(file.blake3))
        shutil.rmtree(folder)
        return kept_aside

    def forget_files(self, manifest: Manifest) -> None:
        """Let the files of an entry go, but for those that another entry has too."""
        others = [_read(path) for path in (self.root / "entries").glob("*.json") if path.stem != manifest.key]
        shared = {file.blake3 for other in others if other for file in other.files}
        for file in manifest.files:
            if file.blake3 not in shared:
                self.blob(file.blake3).unlink(missing_ok=True)

    # ---- out ---------------------------------------------------------------------------------------------

    def find(self, key: str) -> Manifest | None:
        manifest = _read(self.entry(key))
        if manifest is None and self.mirror is not None:
            manifest = self._warned(lambda mirror: mirror.manifest(key))
        return manifest if manifest is not None and manifest.key == key else None

    def restore(self, manifest: Manifest, into: Path) -> bool:
        """Assemble an artifact's files, each verified; False if one is nowhere to be had."""
        if not all(self._available(file, into) for file in manifest.files):
            return False
        into.mkdir(parents=True, exist_ok=True)
        if not all(self._bring(file, into / file.path) for file in manifest.files):
            return False
        entry = self.entry(manifest.key)
        if entry.exists():
            os.utime(entry)  # recently used: the last to go when space is needed
        else:
            write_atomic(entry, manifest.encode())
        return True

    def _available(self, file: File, into: Path) -> bool:
        at_hand = (into / file.path).exists() or self.blob(file.blake3).exists() or self.mirror is not None
        return at_hand or any(self._holders(file))

    def _bring(self, file: File, target: Path) -> bool:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_file() and blake3_of(target) == file.blake3:
            return True
        blob = self.blob(file.blake3)
        if blob.exists() and file.size > self.copy_below:
            if blake3_of(blob) == file.blake3:
                if not clone(blob, target):
                    os.replace(blob, target)
                return True
            blob.unlink()
        for source in [blob, *self._holders(file)]:
            if source.exists() and (clone(source, target) or shutil.copyfile(source, target)):
                if blake3_of(target) == file.blake3:
                    return True
                if source == blob:
                    blob.unlink()  # damaged: better gone than tried again
        return self.mirror is not None and bool(self._warned(lambda mirror: mirror.download(file, target)))

    def _holders(self, file: File) -> Iterator[Path]:
        """Current artifacts of any profile that hold a file of this content."""
        for path in sorted(self.artifacts.glob(f"*/*/{MANIFEST}")):
            manifest = _read(path)
            for other in manifest.files if manifest else ():
                if other.blake3 == file.blake3 and (path.parent / other.path).is_file():
                    yield path.parent / other.path

    def _warned(self, call: Callable[[Mirror], T]) -> T | None:
        assert self.mirror is not None
        try:
            return call(self.mirror)
        except MirrorError as error:
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


def _set_aside(path: Path, aside: Path, name: str) -> Path:
    aside.mkdir(parents=True, exist_ok=True)
    target = aside / name.replace("/", "__")
    number = 1
    while target.exists():
        number += 1
        target = aside / f"{number}-{name.replace('/', '__')}"
    os.replace(path, target)
    return target
