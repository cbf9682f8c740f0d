"""What the store may forget: entries that no profile uses, the longest unused first, down to a budget."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from so8t.store.cache import Store
from so8t.store.manifest import BadManifest, Manifest, decode


@dataclass(frozen=True)
class Sweep:
    kept: tuple[str, ...]
    removed: tuple[str, ...]  # keys
    freed: int  # bytes
    size: int  # bytes that stay


def collect(store: Store, in_use: Collection[str], budget: int, dry: bool = False) -> Sweep:
    """Keep the entries in use and the most recently used others while their files fit the budget."""
    entries = sorted(
        (store.root / "entries").glob("*.json"),
        key=lambda path: (path.stem not in in_use, -path.stat().st_mtime_ns, path.stem),
    )
    blobs = {path.name: path for path in (store.root / "blobs").glob("*/*")}
    sizes = {name: path.stat().st_size for name, path in blobs.items()}
    kept: list[str] = []
    removed: list[str] = []
    wanted: set[str] = set()
    for path in entries:
        manifest = _manifest(path.read_bytes())
        needs = {file.blake3 for file in manifest.files if file.blake3 in blobs} if manifest else set()
        fits = sum(sizes[name] for name in wanted | needs) <= budget
        if manifest is not None and (path.stem in in_use or fits):
            kept.append(path.stem)
            wanted |= needs
        else:
            removed.append(path.stem)
    if not dry:
        # entries first: killed in between, a blob without an entry is swept next time
        for key in removed:
            store.entry(key).unlink(missing_ok=True)
        for name in blobs.keys() - wanted:
            blobs[name].unlink(missing_ok=True)
    freed = sum(sizes[name] for name in blobs.keys() - wanted)
    return Sweep(tuple(kept), tuple(removed), freed, sum(sizes[name] for name in wanted))


def _manifest(data: bytes) -> Manifest | None:
    try:
        return decode(data)
    except BadManifest:
        return None
