"""The chain of audit records: how one is sealed, and how a whole log is verified.

`hash` chains (anyone can verify it), `seal` is its HMAC (only the holder of the key can write it anew).
Cutting off the last records leaves a chain that is whole: compare the head that `doit audit` prints with one that was
noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so8t.serve.keys import Keys

GENESIS = "0" * 64
_NAME = re.compile(r"audit-(\d{6,})\.jsonl")

Record = dict[str, Any]


@dataclass(frozen=True)
class Head:
    """The last record: what the next one is chained to."""

    seq: int = 0
    hash: str = GENESIS


def seal(record: Mapping[str, Any], head: Head, keys: Keys) -> Record:
    """The record with its place in the chain."""
    whole = {"seq": head.seq + 1, **record, "key": keys.current, "prev": head.hash}
    digest = digest_of(whole)
    return {**whole, "hash": digest, "seal": keys.mac(keys.current, digest.encode())}


def digest_of(record: Mapping[str, Any]) -> str:
    own = {name: value for name, value in record.items() if name not in ("hash", "seal")}
    return hashlib.sha256(encode(own)).hexdigest()


def encode(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"


# ---- verifying -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Finding:
    """The first broken record, or None; and how far the chain is whole."""

    broken: str | None
    first: int
    head: Head
    files: int
    unsealed: frozenset[str]  # ids of keys that were not at hand: their seals were not compared


def verify(folder: Path, keys: Keys | None) -> Finding:
    """Read the whole log and stop at the first record that is not as it was written."""
    paths, head, first, unsealed = files(folder), Head(), 0, set[str]()
    for path in paths:
        for number, line in enumerate(read(path), 1):
            record = decode(line)
            if record is not None and not first:
                first, prev = record["seq"], record.get("prev", "")
                head = Head(first - 1, prev if first > 1 else GENESIS)
            wrong = "not a record" if record is None else _wrong(record, head, keys)
            if wrong or record is None:
                where = f"{path.name}:{number}: record {head.seq + 1}: {wrong}"
                return Finding(where, first, head, len(paths), frozenset(unsealed))
            if keys is None or record["key"] not in keys.by_id:
                unsealed.add(record["key"])
            head = Head(record["seq"], record["hash"])
    return Finding(None, first, head, len(paths), frozenset(unsealed))


def files(folder: Path) -> list[Path]:
    found = [path for path in folder.glob("audit-*.jsonl") if _NAME.fullmatch(path.name)]
    return sorted(found, key=number_of)


def number_of(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else 0


def read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as log:
        yield from log


def decode(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(record, dict) and all(name in record for name in ("hash", "seal", "key", "prev"))
    return record if whole and type(record.get("seq")) is int and line == encode(record) else None


def _wrong(record: Record, head: Head, keys: Keys | None) -> str | None:
    if record["seq"] != head.seq + 1:
        return f"its number is {record['seq']}: records are missing or moved"
    if record["prev"] != head.hash:
        return "it does not follow the record before it"
    if record["hash"] != digest_of(record):
        return "its content was changed"
    if keys and record["key"] in keys.by_id and record["seal"] != keys.mac(record["key"], record["hash"].encode()):
        return "its seal is not by the key that it names"
    return None
