"""URLs whose sites said no after their texts were taken: a line each, which `doit recheck` adds and `raw` obeys."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import orjson

from so8t.errors import DataError
from so8t.store.atomic import write_atomic


@dataclass(frozen=True)
class Refusal:
    """A URL, the day on which its site was asked, and what it said."""

    url: str
    on: str
    said: tuple[str, ...] = ()


def read(path: Path) -> dict[str, Refusal]:
    """By URL; of two lines with one URL the first counts."""
    found: dict[str, Refusal] = {}
    for number, line in enumerate(path.read_bytes().splitlines(), 1):
        if line.strip():
            if (one := _refusal(line)) is None:
                raise DataError(
                    f"{path.name}:{number}: is not a refusal; a line is "
                    '{"url": "https://...", "on": "2026-11-28", "said": ["robots.txt:4: disallow: /x"]}'
                )
            found.setdefault(one.url, one)
    return found


def encode(refusals: Mapping[str, Refusal]) -> bytes:
    """The file, in the order of its URLs."""
    lines = (orjson.dumps(refusals[url], option=orjson.OPT_APPEND_NEWLINE) for url in sorted(refusals))
    return b"".join(lines)


def merged(before: Mapping[str, Refusal], found: Iterable[Refusal]) -> dict[str, Refusal]:
    """A no stays as it was first said."""
    return {**{one.url: one for one in found}, **before}


def add(path: Path, known: Mapping[str, Refusal], found: Iterable[Refusal]) -> dict[str, Refusal]:
    """Write the file anew, with what is found, and give all that stands in it."""
    every = merged(known, found)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, encode(every))
    return every


def _refusal(line: bytes) -> Refusal | None:
    try:
        value = orjson.loads(line)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    url, on, said = value.get("url"), value.get("on", ""), value.get("said", [])
    if not isinstance(url, str) or not isinstance(on, str) or not isinstance(said, list):
        return None
    return Refusal(url, on, tuple(map(str, said)))
