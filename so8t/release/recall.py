"""Which files that left the house were made from the records of some URLs: by content, from manifests and releases.

A text file holds a record or does not; any other file that was made from one that does may have learned it.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from so8t.errors import UserError
from so8t.formats import records
from so8t.release.documents import STATEMENTS
from so8t.release.verifier import INDEX
from so8t.store import artifact
from so8t.store.cache import Store
from so8t.store.layout import Layout
from so8t.store.manifest import File, Manifest

RAW, RECORDS = "raw", "raw.jsonl"
_TEXTS = (".json", ".jsonl")
_ID = re.compile(rb'"id": ?"([0-9a-f]{16})"')


@dataclass(frozen=True, order=True)
class Released:
    """A file for others, where it lies, and the key of the result that it belongs to (none: in a release)."""

    path: str
    sha256: str
    key: str = ""


@dataclass(frozen=True)
class Recall:
    records: int  # of the URLs, that any result ever held
    files: tuple[Released, ...]
    unread: int  # results of raw whose bytes are no longer there


def recall(store: Store, urls: Container[str], releases: Sequence[Path]) -> Recall:
    """Of all results that the store knows, and of these folders."""
    manifests = store.manifests()
    raws = {file.blake3: file for one in manifests if one.fingerprint.stage == RAW for file in _records(one)}
    there = {digest: path for digest, file in raws.items() if (path := store.at_hand(file))}
    ids = {one["id"] for path in there.values() for one in records.read(path) if url_of(one) in urls}
    gone = raws.keys() - there.keys()
    reached = made_from(manifests, lambda file: file.blake3 not in gone and _holds(store, file, ids))
    own = (
        Released(f"{one.fingerprint.stage}/{file.path}", file.sha256, one.key)
        for one in manifests
        for file in one.files
        if file.sha256 and file.blake3 in reached
    )
    handed = (each for folder in releases for each in released(folder, reached))
    return Recall(len(ids), tuple(sorted({*own, *handed})), len(gone))


def in_use(layout: Layout, store: Store) -> Counter[str]:
    """The URLs that raw's records came from, and how many came from each."""
    manifest = artifact.inspect(layout, RAW).manifest
    file = next(_records(manifest), None) if manifest else None
    path = store.at_hand(file) if file else None
    if path is None:
        raise UserError("recheck: raw is not built, or retain has let its files go; run doit raw")
    return Counter(url for one in records.read(path) if (url := url_of(one)))


def releases(project: Path, named: Iterable[str]) -> list[Path]:
    """The releases in their usual place, and those that are named."""
    own = sorted(path.parent for path in project.glob(f"release/*/{INDEX}"))
    return list(dict.fromkeys([*own, *(project / name for name in named)]))


def url_of(record: Mapping[str, Any]) -> str:
    """Where a record of raw came from, or nothing where that is not the web."""
    url = record["source"].get("url") or ""
    return url if url.startswith(("http://", "https://")) else ""


def made_from(manifests: Iterable[Manifest], holds: Callable[[File], bool]) -> frozenset[str]:
    """The digests of raw's files that hold something, and of all files made from such a file that hold it too."""
    takers: dict[str, list[Manifest]] = defaultdict(list)
    waiting: list[Manifest] = []
    for one in manifests:
        waiting += [one] if one.fingerprint.stage == RAW else []
        for digest in one.fingerprint.inputs.values():
            takers[digest].append(one)
    reached: set[str] = set()
    seen: set[str] = set()
    while waiting:
        one = waiting.pop()
        if one.key not in seen:
            seen.add(one.key)
            for file in one.files:
                if file.blake3 not in reached and holds(file):
                    reached.add(file.blake3)
                    waiting += takers[file.blake3]
    return frozenset(reached)


def released(folder: Path, digests: Container[str]) -> Iterator[Released]:
    """The files of a release that are one of these, by what it says of itself."""
    try:
        index = orjson.loads((folder / INDEX).read_bytes())["files"]
        statement = orjson.loads((folder / STATEMENTS / "release.intoto.json").read_bytes())
        taken = statement["predicate"]["buildDefinition"].get("resolvedDependencies", ())
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}: is not a release that can be read: {type(error).__name__}: {error}") from error
    for one in taken:
        path = one["name"].partition(": ")[2]
        if one["digest"]["blake3"] in digests and path in index:
            yield Released(f"{folder.name}/{path}", index[path]["sha256"])


def _records(raw: Manifest) -> Iterator[File]:
    return (file for file in raw.files if file.path == RECORDS)


def _holds(store: Store, file: File, ids: Container[str]) -> bool:
    if not file.path.endswith(_TEXTS) or (path := store.at_hand(file)) is None:
        return True
    with path.open("rb") as lines:
        return any(found.decode() in ids for line in lines for found in _ID.findall(line))
