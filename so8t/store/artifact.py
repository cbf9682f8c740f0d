"""A published artifact as it lies on the disk: its manifest, and whether the files still match it.

Files are compared by size, times and inode with what was published, and hashed again only where those differ.
"""

from __future__ import annotations

import errno
import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from so8t.store.atomic import write_atomic
from so8t.store.digest import Signature, blake3_of, is_settled, signature
from so8t.store.layout import MANIFEST, Layout
from so8t.store.manifest import BadManifest, File, Manifest, decode

_DOCUMENT = 256 << 10  # bytes


@dataclass(frozen=True)
class Artifact:
    manifest: Manifest | None = None
    damage: tuple[str, ...] = ()  # one sentence for each file that is not what was published
    dropped: bool = False  # `retain: manifest` took the bytes away; the manifest alone stands for them
    sealed: str = field(default="", compare=False)  # SHA-256 of the manifest's bytes

    @property
    def is_whole(self) -> bool:
        """Whether every byte is there, as it was published."""
        return self.manifest is not None and not self.damage and not self.dropped


@dataclass(frozen=True)
class Seen:
    """What the file system said about the files when they were last known to match the manifest."""

    manifest: str  # SHA-256 of the manifest's bytes
    files: Mapping[str, Signature]
    dropped: bool = False


def inspect(layout: Layout, stage: str, thorough: bool = False) -> Artifact:
    """The artifact of a stage; `thorough` hashes every file whatever the file system says."""
    try:
        data = layout.manifest(stage).read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        lost = layout.folder(stage).is_dir() and layout.seen(stage).exists()
        return Artifact(damage=(f"{MANIFEST}: missing",) if lost else ())
    except IsADirectoryError:
        return Artifact(damage=(f"{MANIFEST}: a folder stands in its place",))
    try:
        manifest = decode(data)
    except BadManifest as error:
        return Artifact(damage=(f"{MANIFEST}: {error}",))
    seen = read_seen(layout, stage)
    trusted = seen is not None and seen.manifest == _sha256(data)
    if not trusted and not _is_as_stored(layout, manifest, data):
        return Artifact(damage=(f"{MANIFEST}: changed since it was built",))
    if seen is not None and trusted and seen.dropped:
        return Artifact(manifest, dropped=True, sealed=_sha256(data))
    known = seen.files if seen is not None and trusted and not thorough else {}
    return _compare(layout, stage, manifest, data, known)


def _compare(layout: Layout, stage: str, manifest: Manifest, data: bytes, known: Mapping[str, Signature]) -> Artifact:
    folder, now = str(layout.folder(stage)), time.time_ns()
    found: dict[str, Signature] = {}
    damage = []
    for file in manifest.files:
        path = Path(folder, file.path)
        sig = signature(path)
        if sig is None or (sig != known.get(file.path) and _differs(path, sig, file)):
            damage.append(_describe(file, sig))
        elif sig == known.get(file.path) or is_settled(sig, now):
            found[file.path] = sig
    if not damage and found != known:
        write_seen(layout, stage, Seen(_sha256(data), found))
    return Artifact(manifest, tuple(damage), sealed=_sha256(data))


def _differs(path: Path, sig: Signature, file: File) -> bool:
    try:
        return sig[0] != file.size or blake3_of(path) != file.blake3
    except (FileNotFoundError, IsADirectoryError):
        return True  # gone since we looked, or a folder in its place


def _describe(file: File, sig: Signature | None) -> str:
    if sig is None:
        return f"{file.path}: missing"
    how = f"{file.size} -> {sig[0]} bytes" if sig[0] != file.size else f"{file.size} bytes as before, other content"
    return f"{file.path}: changed since it was built ({how})"


def _is_as_stored(layout: Layout, manifest: Manifest, data: bytes) -> bool:
    """Whether the store's own copy of the manifest, if it has a sound one, says the same."""
    try:
        stored = (layout.shared / "store" / "entries" / f"{manifest.key}.json").read_bytes()
        return stored == data or decode(stored).key != manifest.key
    except (OSError, BadManifest):
        return True


def record(layout: Layout, stage: str, manifest: Manifest, folder: Path) -> None:
    """Remember the files of a folder that has just been sealed.

    One that was written after its seal, by a thread that outlived the build, is left to be hashed again.
    """
    sealed = (folder / MANIFEST).stat().st_mtime_ns
    sigs = {file.path: signature(folder / file.path) for file in manifest.files}
    files = {path: sig for path, sig in sigs.items() if sig is not None and sig[1] < sealed}
    write_seen(layout, stage, Seen(_sha256(manifest.encode()), files))


def read_seen(layout: Layout, stage: str) -> Seen | None:
    try:
        whole = json.loads(layout.seen(stage).read_bytes())
        files = {path: (sig[0], sig[1], sig[2], sig[3]) for path, sig in whole["files"].items()}
        return Seen(whole["manifest"], files, whole["dropped"])
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return None  # unknown: everything is hashed once more


def write_seen(layout: Layout, stage: str, seen: Seen) -> None:
    try:
        _write_seen(layout, stage, seen)
    except PermissionError:
        return  # a reader without write access only hashes more often
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.ENOSPC):
            raise


def _write_seen(layout: Layout, stage: str, seen: Seen) -> None:
    whole = {"manifest": seen.manifest, "files": seen.files, "dropped": seen.dropped}
    write_atomic(layout.seen(stage), json.dumps(whole).encode("utf-8", "surrogatepass"))


def drop_bytes(layout: Layout, stage: str, manifest: Manifest) -> None:
    """Keep the manifest and what it counted, and let the other files go; their consumers stay up to date."""
    note_dropped(layout, stage, manifest)
    for file in manifest.files:
        if not is_document(file):
            (layout.folder(stage) / file.path).unlink(missing_ok=True)


def note_dropped(layout: Layout, stage: str, manifest: Manifest) -> None:
    """From now on this manifest stands for files that are not here."""
    _write_seen(layout, stage, Seen(_sha256(manifest.encode()), {}, dropped=True))


def is_document(file: File) -> bool:
    """A small JSON beside the data, such as stats.json: counts and figures, which the report tells of."""
    return file.size <= _DOCUMENT and "/" not in file.path and file.path.endswith(".json")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
