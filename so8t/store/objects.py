"""Objects that are written under a condition: what leases and entries of a shared store stand on.

A version names what an object holds: whoever writes makes sure that no two writes hold the same bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class MirrorError(Exception):
    """The mirror cannot be reached or used; local work goes on."""


@dataclass(frozen=True)
class Found:
    data: bytes
    version: str


class Objects(Protocol):
    """A store that keeps its conditions; MirrorError where it cannot be reached."""

    def read(self, name: str) -> Found | None: ...

    def create(self, name: str, data: bytes) -> str | None:
        """The version; None if something is there already."""

    def swap(self, name: str, data: bytes, version: str) -> str | None:
        """The new version; None if it is not at this version any more."""

    def remove(self, name: str) -> None: ...


def put(objects: Objects, name: str, data: bytes, version: str | None) -> str | None:
    """Create it, or replace this version of it; None if somebody else was quicker.

    A request that was done and whose answer was lost is sent again below us, and is then refused because of itself.
    """
    made = objects.create(name, data) if version is None else objects.swap(name, data, version)
    if made is None:
        found = objects.read(name)
        return found.version if found is not None and found.data == data else None
    return made
