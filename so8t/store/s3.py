"""S3 through s3fs: how it is opened, and objects that are written under a condition of HTTP.

Keys, endpoint and region come from where every tool of S3 looks: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_ENDPOINT_URL, AWS_DEFAULT_REGION, AWS_PROFILE; no spec holds a secret.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from so8t.errors import MissingExtra
from so8t.store import troubles
from so8t.store.objects import Found, MirrorError

PARTS = 2  # of one file at once
_PART = 8 << 20
_MOST_PARTS = 10_000
_REFUSED = 412
_BUSY = 409  # another write under a condition is under way at this moment
_PAUSES = (0.1, 0.3, 1.0, 3.0)
_NOTHING = ("NoSuchKey", "404")


def is_s3(url: str) -> bool:
    return url.startswith(("s3://", "s3a://"))


def open_fs(url: str) -> tuple[Any, str]:
    fs = _client(os.getpid())
    return fs, str(fs._strip_protocol(url))


def pieces(size: int) -> dict[str, int]:
    """How a file goes in parts, so that little of it is in memory."""
    return {"chunksize": max(_PART, -(-size // _MOST_PARTS)), "max_concurrency": PARTS}


def goes_in_parts(size: int) -> bool:
    return size >= 2 * _PART  # where s3fs begins with it


@lru_cache
def _client(process: int) -> Any:
    """One for all threads of a process, patient with a busy store, but not for minutes; it survives no fork."""
    try:
        from s3fs import S3FileSystem
    except ImportError as error:
        raise MissingExtra("s3fs", "s3", "a mirror on S3") from error
    patience = {"connect_timeout": 5, "read_timeout": 30, "retries": {"mode": "standard", "max_attempts": 3}}
    fs = S3FileSystem(use_listings_cache=False, skip_instance_cache=True, config_kwargs=patience)
    fs.retries = 2
    return fs


@dataclass(frozen=True)
class S3Objects:
    """Whether the store keeps the conditions is another question: so8t.store.probe asks it."""

    url: str

    def read(self, name: str) -> Found | None:
        from fsspec.asyn import sync

        fs, place = self._place(name)

        async def get() -> Found:
            answer = await fs._call_s3("get_object", **place)
            async with answer["Body"] as body:
                return Found(await body.read(), answer["ETag"])

        try:
            found: Found = sync(fs.loop, get)
        except Exception as error:
            if troubles.code(error) in _NOTHING:
                return None
            raise self._cannot("read", name, error) from error
        return found

    def create(self, name: str, data: bytes) -> str | None:
        return self._put(name, data, IfNoneMatch="*")

    def swap(self, name: str, data: bytes, version: str) -> str | None:
        return self._put(name, data, IfMatch=version)

    def remove(self, name: str) -> None:
        fs, place = self._place(name)
        try:
            fs.call_s3("delete_object", **place)
        except Exception as error:
            raise self._cannot("remove", name, error) from error

    def _put(self, name: str, data: bytes, **condition: str) -> str | None:
        fs, place = self._place(name)
        pauses = iter(_PAUSES)
        while True:
            try:
                version: str = fs.call_s3("put_object", Body=data, **place, **condition)["ETag"]
                return version
            except Exception as error:  # the errors of botocore, s3fs and aiohttp share nothing
                gone = "IfMatch" in condition and troubles.code(error) in _NOTHING
                if troubles.status(error) == _REFUSED or gone:
                    return None
                pause = next(pauses, None)
                if troubles.status(error) != _BUSY or pause is None:
                    raise self._cannot("write", name, error) from error
                time.sleep(pause)

    def _place(self, name: str) -> tuple[Any, dict[str, str]]:
        fs, base = open_fs(self.url)
        bucket, key, _ = fs.split_path(f"{base.rstrip('/')}/{name}")
        return fs, {"Bucket": bucket, "Key": key}

    def _cannot(self, do: str, name: str, error: Exception) -> MirrorError:
        return MirrorError(f"mirror {self.url}: cannot {do} {name}: {troubles.explain(error)}")
