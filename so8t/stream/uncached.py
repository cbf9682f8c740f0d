"""Weights read and written past the page cache, where the system can (Linux 6.14 on): they pass by once.

What is cached already stays cached. Written bytes go to the disk at once, where publishing them wants them anyway.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from io import BufferedIOBase, RawIOBase
from pathlib import Path

_DONTCACHE = 0x80 if hasattr(os, "RWF_NOWAIT") else 0  # RWF_DONTCACHE, which os does not name before Python 3.15
_BLOCK = 8 << 20


def read_at(file: int, into: memoryview, offset: int) -> int:
    """As os.preadv, which Windows does not have."""
    return _call(os.preadv, file, into, offset)


def blocks(path: Path) -> Iterator[memoryview]:
    """A file's bytes, in memory that is used again for the next ones."""
    memory, at = memoryview(bytearray(_BLOCK)), 0
    with path.open("rb", buffering=0) as file:
        while count := read_at(file.fileno(), memory, at) if _DONTCACHE else file.readinto(memory):
            yield memory[:count]
            at += count


def append(out: RawIOBase | BufferedIOBase, data: memoryview) -> None:
    """Write all of `data` at the position of `out`, which is its end."""
    out.flush()
    at = out.tell()
    while _DONTCACHE and len(data):
        count = _call(os.pwritev, out.fileno(), data, at)
        data, at = data[count:], at + count
    out.seek(at)
    while len(data):
        data = data[out.write(data) :]


def _call(call: Callable[..., int], file: int, data: memoryview, offset: int) -> int:
    try:
        return call(file, [data], offset, _DONTCACHE)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # an older kernel, or a file system that cannot
            raise
        return call(file, [data], offset)
