"""Bulk data past the page cache: the same bytes, whatever the system can."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import random
from pathlib import Path

import pytest

from so8t.stream import uncached

FULL = Path("/dev/full")
LENGTHS = (4096, 1, 0, 70_001, 8 << 20, 12_345, 3 << 20, 24 << 20)  # most pieces begin and end within a page


def pieces() -> list[bytes]:
    dice = random.Random(0)
    return [dice.randbytes(length) for length in LENGTHS]


def in_memory(folder: Path) -> Path:
    """A folder of a file system that lives in memory, and so knows no way past it."""
    shared = Path("/dev/shm")
    return shared if shared.is_dir() else folder


def write(path: Path, buffering: int = -1) -> None:
    with path.open("wb", buffering=buffering) as out:
        out.write(b"head")
        for piece in pieces():
            uncached.append(out, memoryview(piece))
        out.write(b"tail")


def cached(path: Path) -> int:
    """Bytes of a file that are in the page cache."""
    size = path.stat().st_size
    with path.open("r+b") as file, mmap.mmap(file.fileno(), size) as mapped:
        found = (ctypes.c_ubyte * -(-size // mmap.PAGESIZE))()
        libc, start = ctypes.CDLL(None, use_errno=True), ctypes.c_char.from_buffer(mapped)
        failed = libc.mincore(ctypes.byref(start), ctypes.c_size_t(size), found)
        del start
        assert not failed, os.strerror(ctypes.get_errno())
        return sum(page & 1 for page in found) * mmap.PAGESIZE


def passes(path: Path) -> bool:
    """Whether this kernel and file system can."""
    with path.open("rb", buffering=0) as file:
        try:
            os.preadv(file.fileno(), [bytearray(1)], 0, uncached._DONTCACHE)
        except (AttributeError, OSError):
            return False
    return bool(uncached._DONTCACHE)


@pytest.mark.parametrize("buffering", [-1, 0])
def test_what_is_appended_follows_what_was_written(tmp_path: Path, buffering: int) -> None:
    write(tmp_path / "file", buffering)

    assert (tmp_path / "file").read_bytes() == b"".join([b"head", *pieces(), b"tail"])


def test_a_file_system_that_cannot_gets_the_same_bytes(tmp_path: Path) -> None:
    path = in_memory(tmp_path) / f"so8t-{os.getpid()}-uncached"
    try:
        write(path)
        assert b"".join(bytes(block) for block in uncached.blocks(path)) == b"".join([b"head", *pieces(), b"tail"])
    finally:
        path.unlink()


def test_blocks_are_the_whole_file(tmp_path: Path) -> None:
    whole = random.Random(1).randbytes((16 << 20) + 5)
    (tmp_path / "file").write_bytes(whole)
    (tmp_path / "empty").write_bytes(b"")

    assert b"".join(bytes(block) for block in uncached.blocks(tmp_path / "file")) == whole
    assert list(uncached.blocks(tmp_path / "empty")) == []


@pytest.mark.skipif(os.name == "nt", reason="Windows has no mincore, and nothing goes past its cache")
def test_the_page_cache_is_left_to_others(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write(path)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    most = 8 << 20 if passes(path) else path.stat().st_size + mmap.PAGESIZE  # the kernel does its best, no more

    assert cached(path) <= most
    for _ in uncached.blocks(path):
        pass
    assert cached(path) <= most


@pytest.mark.skipif(not FULL.exists(), reason="no device here that is always full")
def test_a_full_disk_is_an_error() -> None:
    with pytest.raises(OSError) as caught, FULL.open("wb", buffering=0) as out:
        uncached.append(out, memoryview(b"some"))

    assert caught.value.errno == errno.ENOSPC
