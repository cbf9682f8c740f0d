"""A store in memory that keeps the conditions of S3, and one that is known for ignoring them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import md5

from so8t.store.objects import Found, MirrorError


@dataclass
class Bin:
    """Versions are ETags: digests of the content.  `before` is called before each request, and may fail it."""

    held: dict[str, bytes] = field(default_factory=dict)
    before: Callable[[str], object] = lambda request: None
    after: Callable[[str], object] = lambda request: None  # it was done; what fails here loses the answer
    lock: threading.Lock = field(default_factory=threading.Lock)

    def read(self, name: str) -> Found | None:
        self.before("read")
        data = self.held.get(name)
        return Found(data, _tag(data)) if data is not None else None

    def create(self, name: str, data: bytes) -> str | None:
        return self._put(name, data, lambda there: there is None)

    def swap(self, name: str, data: bytes, version: str) -> str | None:
        return self._put(name, data, lambda there: there is not None and _tag(there) == version)

    def remove(self, name: str) -> None:
        self.held.pop(name, None)

    def _put(self, name: str, data: bytes, may: Callable[[bytes | None], bool]) -> str | None:
        self.before("write")
        with self.lock:
            if not may(self.held.get(name)):
                return None
            self.held[name] = data
        self.after("write")
        return _tag(data)


class Careless(Bin):
    """Puts whatever comes, as nanio 0.1.7 and npm's s3rver 3.7 do."""

    def _put(self, name: str, data: bytes, may: Callable[[bytes | None], bool]) -> str | None:
        return super()._put(name, data, lambda there: True)


class HalfCareless(Bin):
    """Knows If-None-Match alone, as localbucket 1.2.1."""

    def swap(self, name: str, data: bytes, version: str) -> str | None:
        return self._put(name, data, lambda there: True)


def silent(request: str) -> None:
    raise MirrorError("mirror s3://bin: the store does not answer")


def _tag(data: bytes) -> str:
    return f'"{md5(data, usedforsecurity=False).hexdigest()}"'
