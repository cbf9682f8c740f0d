"""Archives of files, .zip and .tar: each file in them is read as it would be beside them.

One member at a time is unpacked, under a name of ours, into the stage's scratch folder: no path in an archive is ever
used as a path here, links lead nowhere, and what unpacks out of all proportion is refused before it fills a disk.
"""

from __future__ import annotations

import tarfile
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, Any

from so8t.corpus.opened import CHUNK, FREE, PACKED, RATIO, blamed, opened
from so8t.engine.stage import Source
from so8t.errors import DataError

MEMBERS = 1_000_000
DEPTH = 3  # an archive in an archive in an archive
UNPACKED = 64 << 30  # bytes of all members together
_SHOWN = 8  # ways to read, and suffixes, that are named
_HELP = "unpack it yourself and name the files"


@dataclass
class Contents:
    """What was found in an archive so far."""

    members: int = 0
    unpacked: int = 0  # bytes
    links: int = 0
    read: Counter[str] = field(default_factory=Counter)  # how files in it are read -> how many are
    passed: Counter[str] = field(default_factory=Counter)  # suffix -> files in it that are not read

    def said(self) -> str:
        parts = [f"{number:,} x {said}" for said, number in self.read.most_common(_SHOWN)]
        parts += ["and others"] if len(self.read) > _SHOWN else []
        passed = ", ".join(f"{number:,} x {suffix}" for suffix, number in self.passed.most_common(_SHOWN))
        parts += [f"not read: {passed}"] if passed else []
        parts += [f"not followed: {self.links:,} x link"] if self.links else []
        return f"an archive: {'; '.join(parts)}" if parts else "an archive: nothing in it"


@dataclass(frozen=True)
class Member:
    """A file in an archive: how messages call it, and what reads it."""

    name: str
    copy: Callable[[Path], None]  # its bytes to a file


def is_one(path: Path) -> bool:
    """By the name: a sheet of Excel is a .zip, too."""
    name = path.name.lower()
    return name.endswith((".zip", ".tar", ".tgz", ".tbz2")) or any(name.endswith(f".tar{each}") for each in PACKED)


def files(archive: Source, room: Path, contents: Contents, depth: int = 1) -> Iterator[Source]:
    """The files in it, in its order, each until the next one is asked for; archives in it are opened, too."""
    if depth > DEPTH:
        raise DataError(f"{archive.name}: archives in archives, more than {DEPTH} deep; {_HELP}")
    room.mkdir(parents=True, exist_ok=True)
    for number, member in enumerate(_members(archive, contents)):
        path = room / f"{depth}-{number}{_suffixes(member.name)}"
        try:
            with _named(member.name, partial(str, member.name), contents):
                member.copy(path)
            found = Source(member.name, path)
            if is_one(path):
                yield from files(found, room, contents, depth + 1)
            else:
                yield found
        finally:
            path.unlink(missing_ok=True)


def _suffixes(name: str) -> str:
    """`.csv.gz`, in letters and digits alone: what a file is, not where it says that it lies."""
    suffixes = PurePosixPath(name.replace("\\", "/")).suffixes[-2:]
    return "".join(each for each in suffixes if each[1:].isalnum() and each.isascii() and len(each) < 12)


def _members(archive: Source, contents: Contents) -> Iterator[Member]:
    found = _of_zip if archive.path.name.lower().endswith(".zip") else _of_tar

    def place() -> str:
        return f"{archive.name}: member {contents.members + 1}"

    with _named(archive.name, place, contents):
        for name, is_file, copy in found(archive, contents):
            contents.members += 1
            if contents.members > MEMBERS:
                raise DataError(f"{archive.name}: more than {MEMBERS:,} members; {_HELP}")
            _check_inside(archive.name, name)
            if is_file:
                yield Member(f"{archive.name}!/{name.removeprefix('./')}", copy)


@contextmanager
def _named(name: str, place: Callable[[], str], contents: Contents) -> Iterator[None]:
    try:
        with blamed(name, place, lambda: f"{contents.members} whole members"):
            yield
    except (zipfile.BadZipFile, tarfile.TarError) as error:
        raise DataError(f"{place()}: cannot unpack: {error}; get the file again") from error


def _check_inside(archive: str, name: str) -> None:
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or (path.parts[:1] and path.parts[0].endswith(":")):
        raise DataError(f"{archive}: the member {name!r} would lie outside of the archive's folder; {_HELP}")


# ---- .zip and .tar ---------------------------------------------------------------------------------------------

Found = tuple[str, bool, Callable[[Path], None]]


def _of_zip(archive: Source, contents: Contents) -> Iterator[Found]:
    with zipfile.ZipFile(archive.path) as packed:
        for info in packed.infolist():
            if info.flag_bits & 1:
                raise DataError(f"{archive.name}: the member {_zip_name(info)!r} is encrypted; {_HELP}")
            link = info.create_system == 3 and (info.external_attr >> 28) == 0o12
            contents.links += link

            def copy(path: Path, info: zipfile.ZipInfo = info) -> None:
                try:
                    with packed.open(info) as stream:
                        _copy(archive.name, stream, path, contents, info.compress_size)
                except (NotImplementedError, RuntimeError) as error:
                    raise DataError(f"{archive.name}: the member {_zip_name(info)!r}: {error}; {_HELP}") from error

            yield _zip_name(info), not info.is_dir() and not link, copy


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Its name; without a mark of UTF-8 it is what Info-ZIP, or Windows in Japan, wrote, if it can be."""
    if info.flag_bits & 0x800 or info.filename.isascii():
        return info.filename
    try:
        return _name(info.filename.encode("cp437"))
    except UnicodeError:
        return info.filename


def _name(written: bytes) -> str:
    for charset in ("utf-8", "cp932"):
        with suppress(UnicodeError):
            return written.decode(charset)
    return written.decode("utf-8", "backslashreplace")


_TAR = {".tgz": ".gz", ".tbz2": ".bz2"}


def _of_tar(archive: Source, contents: Contents) -> Iterator[Found]:
    packed = _TAR.get(archive.path.suffix.lower())
    with opened(archive.path, packed) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
        for info in tar:
            contents.links += info.issym() or info.islnk()

            def copy(path: Path, info: tarfile.TarInfo = info) -> None:
                member: Any = tar.extractfile(info)
                _copy(archive.name, member, path, contents, None)

            yield _name(info.name.encode("utf-8", "surrogateescape")), info.isreg(), copy


def _copy(name: str, stream: IO[bytes], path: Path, contents: Contents, packed: int | None) -> None:
    """`packed`: how many bytes of the archive hold it, where that is known; else the archive is watched as a whole."""
    size = 0
    with path.open("wb") as out:
        while data := stream.read(CHUNK):
            size += len(data)
            contents.unpacked += len(data)
            if contents.unpacked > UNPACKED:
                raise DataError(f"{name}: its members hold more than {UNPACKED >> 30} GiB; {_HELP}")
            if packed is not None and size > FREE and size > RATIO * packed:
                raise DataError(
                    f"{name}: {packed:,} bytes unpack to more than {RATIO} times as much, which no data does; "
                    f"if that is right, {_HELP}"
                )
            out.write(data)
