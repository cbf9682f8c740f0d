"""Files from outside as streams of bytes: plain, .gz, .bz2 or .zst; a compressed file that was cut is an error.

So is one that unpacks to far more than data of people does: it was made to fill a memory or a disk.
"""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from so8t.errors import DataError, MissingExtra

CHUNK = 1 << 20
PACKED = (".gz", ".bz2", ".zst")
RATIO = 200  # bytes out of one byte; texts of people give 3 to 30, and gzip can give 1,030
FREE = 64 << 20  # bytes that any file may unpack to, whatever their ratio
_ZSTD_FEED = 1 << 8  # 4 bytes may unpack to 128 KiB, so that a large feed could fill the memory


class Corrupt(Exception):
    """zstandard's error under a name that needs no import of it, and what bz2 says by a mere OSError."""


class Bomb(Exception):
    """More comes out of a compressed file than data has in it."""


BROKEN = (OSError, EOFError, zlib.error, Corrupt, Bomb)  # what reading may raise


def bare_suffix(path: Path) -> str:
    """`.csv` of shop.csv and of shop.csv.gz."""
    return Path(path.stem if path.suffix.lower() in PACKED else path.name).suffix.lower()


@contextmanager
def opened(path: Path, suffix: str | None = None) -> Iterator[io.BufferedReader]:
    """The file's bytes; `suffix` says how it is compressed where its name does not."""
    file: io.BufferedReader = io.BufferedReader(io.FileIO(path), CHUNK)
    packed = (suffix or path.suffix).lower()
    with file:
        if packed not in PACKED:
            yield file
            return
        if not file.peek(1):
            raise EOFError
        unpacked: Any
        if packed == ".gz":
            unpacked = gzip.GzipFile(fileobj=file)
        elif packed == ".bz2":
            unpacked = bz2.BZ2File(file)
        else:
            unpacked = io.BufferedReader(_Zstd(file), CHUNK)
        yield io.BufferedReader(_Watched(unpacked, file), CHUNK)


@contextmanager
def blamed(name: str, place: Callable[[], str], read: Callable[[], str]) -> Iterator[None]:
    """What goes wrong inside, as a message: `place` is where it stands, `read` what was read so far."""
    try:
        yield
    except EOFError as error:
        raise DataError(f"{place()}: the compressed file ends too early, after {read()}; get it again") from error
    except Bomb as error:
        raise DataError(f"{place()}: {error}; if that is right, unpack it yourself and name the files") from error
    except (gzip.BadGzipFile, zlib.error, Corrupt) as error:
        raise DataError(f"{place()}: cannot decompress: {error}; get the file again") from error
    except OSError as error:
        raise DataError(f"{name}: cannot read: {error.strerror or error}") from error


class _Watched(io.RawIOBase):
    """What a compressed file unpacks to, as long as it is not out of all proportion."""

    def __init__(self, unpacked: Any, packed: io.BufferedReader) -> None:
        self._unpacked, self._packed, self._size = unpacked, packed, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._unpacked.read1(len(buffer))
        except gzip.BadGzipFile:
            raise
        except OSError as error:
            if error.errno is not None:
                raise
            raise Corrupt(error) from error  # how bz2 says that the data is invalid
        buffer[: len(data)] = data
        self._size += len(data)
        taken = self._packed.tell()
        if self._size > FREE and self._size > RATIO * taken:
            raise Bomb(f"{taken:,} bytes unpack to more than {RATIO} times as much, which no data does")
        return len(data)


class _Zstd(io.RawIOBase):
    """A .zst file as a stream; zstandard's own reader takes a truncated frame for the end of the file."""

    def __init__(self, file: io.BufferedIOBase) -> None:
        try:
            import zstandard
        except ImportError:
            raise MissingExtra("zstandard", "collect", "reading a .zst file") from None
        self._error = zstandard.ZstdError
        self._frames = zstandard.ZstdDecompressor()
        self._frame = self._frames.decompressobj()
        self._file = file
        self._fed = b""
        self._ready = memoryview(b"")
        self._inside = True  # an empty file is a truncated one

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._ready:
            if not (fed := self._fed or self._file.read(_ZSTD_FEED)):
                if self._inside:
                    raise EOFError
                return 0
            self._ready = memoryview(self._decompress(fed))
        size = min(len(buffer), len(self._ready))
        buffer[:size] = self._ready[:size]
        self._ready = self._ready[size:]
        return size

    def _decompress(self, fed: bytes) -> bytes:
        if self._frame.eof:
            self._frame = self._frames.decompressobj()
        try:
            data = self._frame.decompress(fed)
        except self._error as error:
            raise Corrupt(error) from error
        self._inside = not self._frame.eof
        self._fed = self._frame.unused_data if self._frame.eof else b""
        return data
