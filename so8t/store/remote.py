"""A second store behind a URL: the file system there, and objects in it that are written under a condition."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from so8t.errors import MissingExtra
from so8t.store import s3, troubles
from so8t.store.objects import Found, MirrorError, Objects


def open_fs(url: str) -> tuple[Any, str]:
    """The file system behind a URL, and its folder there."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise MissingExtra("fsspec", "cluster", "a mirror of the store") from error
    try:
        fs, base = s3.open_fs(url) if s3.is_s3(url) else url_to_fs(url)
    except MissingExtra:
        raise
    except Exception as error:  # some backends connect here
        raise MirrorError(f"mirror {url}: {troubles.explain(error)}") from error
    return fs, str(base).rstrip("/")


def objects(url: str) -> Objects:
    return s3.S3Objects(url) if s3.is_s3(url) else Files(url)


@dataclass(frozen=True)
class Files:
    """Any other file system: it looks, then writes, so that of two who write at once the later one wins."""

    url: str

    def read(self, name: str) -> Found | None:
        fs, base = open_fs(self.url)
        try:
            data: bytes = fs.cat_file(f"{base}/{name}")
        except FileNotFoundError:
            return None
        except Exception as error:  # each fsspec backend raises errors of its own
            raise MirrorError(f"mirror {self.url}: cannot read {name}: {troubles.explain(error)}") from error
        return Found(data, _version(data))

    def create(self, name: str, data: bytes) -> str | None:
        return None if self.read(name) else self._write(name, data)

    def swap(self, name: str, data: bytes, version: str) -> str | None:
        found = self.read(name)
        return self._write(name, data) if found and found.version == version else None

    def remove(self, name: str) -> None:
        fs, base = open_fs(self.url)
        fs.rm_file(f"{base}/{name}")

    def _write(self, name: str, data: bytes) -> str:
        fs, base = open_fs(self.url)
        try:
            fs.makedirs(f"{base}/{name}".rsplit("/", 1)[0], exist_ok=True)
            fs.pipe_file(f"{base}/{name}", data)
        except Exception as error:
            raise MirrorError(f"mirror {self.url}: cannot write {name}: {troubles.explain(error)}") from error
        return _version(data)


def _version(data: bytes) -> str:
    return sha256(data).hexdigest()
