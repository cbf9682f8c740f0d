"""Files by their content in a second store: there and back, several at once, each verified on arrival."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from so8t.store import remote, s3, transfers, uploads
from so8t.store.digest import blake3_of
from so8t.store.manifest import File
from so8t.store.objects import MirrorError


def send(url: str, notes: Path | None, folder: Path, files: Sequence[File]) -> None:
    """All that is not there yet; `notes` is where uploads in parts are noted while they run."""
    fs, base = remote.open_fs(url)
    if s3.is_s3(url) and notes and any(s3.goes_in_parts(file.size) for file in files):
        bucket, prefix, _ = fs.split_path(f"{base}/blobs/")
        uploads.clear(fs, bucket, prefix, notes)

    def move(file: File, told: Callable[[int], None]) -> None:
        target = _place(base, file)
        if _size(fs, target) == file.size:
            told(file.size)
            return
        if not s3.is_s3(url):
            fs.makedirs(target.rsplit("/", 1)[0], exist_ok=True)
        with _noted(url, fs, target, file.size, notes):
            fs.put_file(str(folder / file.path), target, callback=_callback(told), **_pieces(url, file.size))

    transfers.each(move, files, sum(file.size for file in files), "upload")


def fetch(url: str, wanted: Sequence[tuple[File, Path]]) -> None:
    """Each to its path; FileNotFoundError if the store lacks one."""
    fs, base = remote.open_fs(url)

    def move(one: tuple[File, Path], told: Callable[[int], None]) -> None:
        file, target = one
        part = target.with_name(f"{target.name}.part")
        try:
            fs.get_file(_place(base, file), str(part), callback=_callback(told), **_pieces(url, file.size))
            if blake3_of(part) != file.blake3:
                raise MirrorError(f"mirror {url}: {file.path} arrived with other content than its digest says")
            os.replace(part, target)
        finally:
            part.unlink(missing_ok=True)

    transfers.each(move, wanted, sum(file.size for file, _ in wanted), "download")


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


def _place(base: str, file: File) -> str:
    return f"{base}/blobs/{file.blake3[:2]}/{file.blake3}"
