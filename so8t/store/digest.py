"""Digests of file contents, and a memory of them by size, times and inode, so that nothing is hashed twice."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import time
from pathlib import Path

from so8t.store.atomic import write_atomic
from so8t.stream import uncached

Signature = tuple[int, int, int, int]

# Two writes within one tick of the file system's clock look alike, so a file this young is not remembered.
TICK_NS = 20_000_000


def signature(path: Path | str) -> Signature | None:
    """Size, times and inode of a regular file; None if there is none.

    The change time catches what a restored modification time hides; on Windows it is the creation time.
    """
    try:
        stat = os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


def is_settled(sig: Signature, now: int) -> bool:
    """Whether a later write to the file is sure to show in its signature."""
    return max(sig[1], sig[2]) < now - TICK_NS


def blake3_of(path: Path) -> str:
    from blake3 import blake3

    hasher = blake3(max_threads=blake3.AUTO)
    if path.stat().st_size < 1 << 17:
        hasher.update(path.read_bytes())
    else:
        hasher.update_mmap(path)
    return hasher.hexdigest()


def sha256_of(path: Path) -> str:
    hasher = hashlib.sha256()
    for block in uncached.blocks(path):
        hasher.update(block)
    return hasher.hexdigest()


class DigestMemo:
    """Digests of source files, shared by every stage and kept between runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._load()
        self._fresh: dict[str, tuple[Signature, str]] = {}

    def _load(self) -> dict[str, tuple[Signature, str]]:
        try:
            known = json.loads(self._path.read_bytes())
            return {path: ((sig[0], sig[1], sig[2], sig[3]), str(found)) for path, (sig, found) in known.items()}
        except (OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError):
            return {}  # a lost memory costs one hashing, nothing else

    def digest(self, path: Path) -> str:
        now = time.time_ns()
        sig = signature(path)
        if sig is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
        entry = self._known.get(str(path))
        if entry is not None and entry[0] == sig:
            return entry[1]
        found = blake3_of(path)
        if signature(path) == sig and is_settled(sig, now):
            self._known[str(path)] = self._fresh[str(path)] = (sig, found)
        return found

    def save(self) -> None:
        """Keep what was hashed since the last time, beside what other processes kept."""
        if self._fresh:
            with contextlib.suppress(OSError):  # read-only or full: it is hashed again next time
                write_atomic(self._path, json.dumps({**self._load(), **self._fresh}).encode())
            self._fresh = {}
