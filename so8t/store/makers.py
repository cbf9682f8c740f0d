"""Which machine computed an entry of a mirror: a word for people, which nobody signs and nothing depends on."""

from __future__ import annotations

import json

from so8t.store import remote
from so8t.store.mirror import Mirror
from so8t.store.objects import MirrorError


def leave(mirror: Mirror, key: str, machine: str) -> None:
    """The first one who says it is believed."""
    if mirror.trust.offers:
        remote.objects(mirror.url).create(_name(key), json.dumps({"machine": machine}, ensure_ascii=False).encode())


def read(mirror: Mirror, key: str) -> str | None:
    found = remote.objects(mirror.url).read(_name(key))
    try:
        word = json.loads(found.data) if found else None
    except ValueError as error:
        raise MirrorError(f"mirror {mirror.url}: {_name(key)}: not JSON; remove it") from error
    machine = word.get("machine") if isinstance(word, dict) else None
    return machine if isinstance(machine, str) else None


def _name(key: str) -> str:
    return f"makers/{key}.json"
