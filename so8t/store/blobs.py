"""Files by their content in a second store: there and back, several at once, each verified on arrival."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from so8t.store import remote, s3, transfers, uploads
from so8t.store.digest import blake3_of
from so8t.store.encryption import HEAD, Closed, Encryption, length
from so8t.store.manifest import File
from so8t.store.objects import MirrorError

_MARK = "encrypted.txt"  # beside blobs, entries and leases, for people and for `agree`
_SAYS = b"The files here are encrypted in the format of age: https://age-encryption.org/v1\n"


def agree(url: str, encryption: Encryption | None) -> None:
    """MirrorError unless all that lies there is encrypted, or nothing is, as what this profile would add."""
    objects = remote.objects(url)
    is_closed = objects.read(_MARK) is not None
    if is_closed and encryption is None:
        raise MirrorError(
            f"mirror {url}: its files are encrypted ({_MARK} says so), and this profile would add plain ones: set "
            "store.encrypt, or name another mirror"
        )
    if encryption is not None and not is_closed:
        fs, base = remote.open_fs(url)
        if any(_is_filled(fs, f"{base}/{folder}") for folder in ("blobs", "checkpoints")):
            raise MirrorError(
                f"mirror {url}: its files are not encrypted, and store.encrypt is set: name another mirror, or remove "
                "all that lies in this one"
            )
        objects.create(_MARK, _SAYS)


def send(
    url: str, notes: Path | None, folder: Path, files: Sequence[File], encryption: Encryption | None = None
) -> None:
    """All that is not there yet; `notes` is where uploads in parts are noted while they run."""
    fs, base = remote.open_fs(url)
    if s3.is_s3(url) and notes and any(s3.goes_in_parts(file.size) for file in files):
        bucket, prefix, _ = fs.split_path(f"{base}/blobs/")
        uploads.clear(fs, bucket, prefix, notes)

    def move(file: File, told: Callable[[int], None]) -> None:
        target = _place(base, file, encryption)
        if _is_there(fs, target, file, encryption):
            told(file.size)
            return
        if not s3.is_s3(url):
            fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        with _closed(folder / file.path, notes, encryption, told) as source:
            size = source.stat().st_size
            with _noted(url, fs, target, size, notes):
                fs.put_file(str(source), target, callback=_callback(told), **_pieces(url, size))

    transfers.each(move, files, sum(file.size for file in files), "upload")


def fetch(url: str, wanted: Sequence[tuple[File, Path]], encryption: Encryption | None = None) -> None:
    """Each to its path; FileNotFoundError if the store lacks one."""
    fs, base = remote.open_fs(url)

    def move(one: tuple[File, Path], told: Callable[[int], None]) -> None:
        file, target = one
        part, closed = (target.with_name(f"{target.name}.{end}") for end in ("part", "age"))
        arriving = closed if encryption else part
        try:
            identities = encryption.identities() if encryption else []  # before gigabytes travel
            _get(url, fs, base, file, arriving, encryption, told)
            if encryption:
                encryption.decrypt(closed, part, identities, told)
            if blake3_of(part) != file.blake3:
                raise MirrorError(f"mirror {url}: {file.path} arrived with other content than its digest says")
            os.replace(part, target)
        except Closed as error:
            raise MirrorError(f"mirror {url}: {file.path} {error}") from error
        finally:
            part.unlink(missing_ok=True)
            closed.unlink(missing_ok=True)

    transfers.each(move, wanted, sum(file.size for file, _ in wanted), "download")


def name(file: File, encryption: Encryption | None) -> str:
    """The digest of its content, which everybody can compute who has the file, and of it alone."""
    return f"{file.blake3}.age" if encryption else file.blake3


def _get(
    url: str,
    fs: Any,
    base: str,
    file: File,
    target: Path,
    encryption: Encryption | None,
    told: Callable[[int], None],
) -> None:
    try:
        place = _place(base, file, encryption)
        fs.get_file(place, str(target), callback=_callback(told), **_pieces(url, file.size))
    except FileNotFoundError:
        _refuse_the_other(url, fs, base, file, encryption)
        raise


def _refuse_the_other(url: str, fs: Any, base: str, file: File, encryption: Encryption | None) -> None:
    """Where encrypted files are asked for, a plain one is not taken, and the other way round."""
    if encryption and fs.exists(_place(base, file, None)):
        raise MirrorError(
            f"mirror {url}: {file.path} lies there unencrypted, and store.encrypt is set: remove it there, or leave "
            "store.encrypt out to read it"
        )
    if not encryption and fs.exists(f"{_place(base, file, None)}.age"):
        raise MirrorError(f"mirror {url}: {file.path} is encrypted: set store.encrypt, with an identity that opens it")


@contextmanager
def _closed(
    plain: Path, notes: Path | None, encryption: Encryption | None, told: Callable[[int], None]
) -> Iterator[Path]:
    """The file as it travels: encrypted it lies beside the notes of uploads until it is there."""
    if encryption is None:
        yield plain
        return
    with uploads.room(notes) as room:
        encryption.encrypt(plain, room / "blob", told)
        yield room / "blob"


def _is_there(fs: Any, place: str, file: File, encryption: Encryption | None) -> bool:
    """Whether it lies there whole: a killed upload to a folder leaves a part of it."""
    size = _size(fs, place)
    if size is None or encryption is None:
        return size == file.size
    head: bytes = fs.cat_file(place, start=0, end=min(size, HEAD))
    return size == length(head, file.size)


def _is_filled(fs: Any, folder: str) -> bool:
    try:
        return bool(fs.ls(folder, detail=False))
    except FileNotFoundError:
        return False


def _pieces(url: str, size: int) -> dict[str, int]:
    return s3.pieces(size) if s3.is_s3(url) else {}


def _noted(url: str, fs: Any, target: str, size: int, notes: Path | None) -> AbstractContextManager[None]:
    if notes is None or not (s3.is_s3(url) and s3.goes_in_parts(size)):
        return nullcontext()
    return uploads.noted(notes, fs.split_path(target)[1])


def _callback(told: Callable[[int], None]) -> Any:
    """What fsspec calls between two pieces."""
    from fsspec.callbacks import Callback

    class Told(Callback):  # type: ignore[misc]  # fsspec has no types
        def relative_update(self, inc: int = 1) -> None:
            told(inc)

    return Told()


def _size(fs: Any, path: str) -> int | None:
    try:
        size: int = fs.info(path)["size"]
    except FileNotFoundError:
        return None
    return size


def _place(base: str, file: File, encryption: Encryption | None) -> str:
    return f"{base}/blobs/{file.blake3[:2]}/{name(file, encryption)}"
