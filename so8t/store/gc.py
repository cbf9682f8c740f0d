"""What the store may forget: entries that no profile uses, the longest unused first, down to a budget."""

from __future__ import annotations

import time
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from so8t.store.cache import Store
from so8t.store.manifest import BadManifest, Manifest, decode

_GIVEN_UP = 24 * 3600  # seconds after which no copy is still being written


@dataclass(frozen=True)
class Sweep:
    kept: tuple[str, ...]
    removed: tuple[str, ...]  # keys
    freed: int  # bytes
    size: int  # bytes that stay


def collect(store: Store, in_use: Collection[str], budget: int, dry: bool = False) -> Sweep:
    """Keep the entries in use and the most recently used others while their files fit the budget."""
    used = {path: when for path in (store.root / "entries").glob("*.json") if (when := _mtime(path)) is not None}
    entries = sorted(used, key=lambda path: (path.stem not in in_use, -used[path], path.stem))
    blobs, sizes = _blobs(store)
    kept: list[str] = []
    removed: list[str] = []
    wanted: set[str] = set()
    size = 0
    for path in entries:
        manifest = _manifest(path)
        needs = {file.blake3 for file in manifest.files if file.blake3 in blobs} if manifest else set()
        more = sum(sizes[name] for name in needs - wanted)
        if manifest is not None and (path.stem in in_use or size + more <= budget):
            kept.append(path.stem)
            wanted |= needs
            size += more
        else:
            removed.append(path.stem)
    if not dry:
        # entries first: killed in between, a blob without an entry is swept next time
        for key in removed:
            store.entry(key).unlink(missing_ok=True)
        for name in blobs.keys() - wanted:
            blobs[name].unlink(missing_ok=True)
    freed = sum(sizes[name] for name in blobs.keys() - wanted)
    return Sweep(tuple(kept), tuple(removed), freed, size)


def _blobs(store: Store) -> tuple[dict[str, Path], dict[str, int]]:
    """Files of the store and their sizes; a copy under way is not among them, one that was given up is."""
    blobs: dict[str, Path] = {}
    sizes: dict[str, int] = {}
    for path in (store.root / "blobs").glob("*/*"):
        try:
            stat = path.stat()
        except FileNotFoundError:
            continue  # a build took it just now
        if path.suffix != ".part" or stat.st_mtime < time.time() - _GIVEN_UP:
            blobs[path.name], sizes[path.name] = path, stat.st_size
    return blobs, sizes


def _mtime(path: Path) -> int | None:
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return None


def _manifest(path: Path) -> Manifest | None:
    try:
        return decode(path.read_bytes())
    except (OSError, BadManifest):
        return None
