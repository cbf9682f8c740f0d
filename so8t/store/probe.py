"""Whether a store keeps the conditions under which it is written, found out by breaking them.

Some servers that speak S3 take If-None-Match and If-Match for decoration (nanio 0.1.7 and npm's s3rver 3.7 do): two
builders would each believe that they are the only one.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator

from so8t.store.objects import Objects, put


def ignored(objects: Objects) -> list[str]:
    """The conditions that this store does not keep, and what it does instead; empty if it keeps them all."""
    name = f"probes/{secrets.token_hex(8)}"
    try:
        return list(_ignored(objects, name))
    finally:
        objects.remove(name)


def _ignored(objects: Objects, name: str) -> Iterator[str]:
    first, second, third, fourth = (f"{turn} {secrets.token_hex(8)}\n".encode() for turn in range(4))
    if put(objects, name, first, None) is None:
        yield "If-None-Match (it refuses a name that is free)"
        return
    if objects.create(name, second) is not None:
        yield "If-None-Match (it writes over what is there)"
    found = objects.read(name)
    stale = _other(found.version) if found else ""
    if objects.swap(name, third, stale) is not None:
        yield "If-Match (it replaces another version than the one that is named)"
    elif found and put(objects, name, fourth, found.version) is None:
        yield "If-Match (it refuses the version that is there)"


def _other(version: str) -> str:
    """A version that this object never had."""
    return version.translate(str.maketrans("0123456789abcdef", "123456789abcdef0"))
