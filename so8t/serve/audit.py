"""The audit log: append-only JSONL in which each record holds the hash of the one before.

A record counts once it is on the disk, and only then the answer leaves; records that arrive together share one sync.
Prompt and thinking are in it as keyed hashes alone.  `hash` chains (anyone can verify it), `seal` is its HMAC (only
the holder of the key can write it anew).  Cutting off the last records leaves a chain that is whole: compare the head
that `doit audit` prints with one that was noted elsewhere.
"""

from __future__ import annotations

import hashlib
import json
import os
import queue
import re
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from so8t.errors import UserError
from so8t.serve.keys import Keys
from so8t.store.atomic import sync

GENESIS = "0" * 64
MOST_AT_ONCE = 256
_NAME = re.compile(r"audit-(\d{6,})\.jsonl")

Record = dict[str, Any]


class Unavailable(Exception):
    """The log cannot be written, so nothing may be answered."""


@dataclass(frozen=True)
class Head:
    """The last record: what the next one is chained to."""

    seq: int = 0
    hash: str = GENESIS


def seal(record: Mapping[str, Any], head: Head, keys: Keys) -> Record:
    """The record with its place in the chain."""
    whole = {"seq": head.seq + 1, **record, "key": keys.current, "prev": head.hash}
    digest = _hash(whole)
    return {**whole, "hash": digest, "seal": keys.mac(keys.current, digest.encode())}


def _hash(record: Mapping[str, Any]) -> str:
    own = {name: value for name, value in record.items() if name not in ("hash", "seal")}
    return hashlib.sha256(_line(own)).hexdigest()


def _line(record: Mapping[str, Any]) -> bytes:
    return json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode() + b"\n"


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


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
        for number, line in enumerate(_lines(path), 1):
            record = _parse(line)
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
    return sorted(found, key=_number)


def _number(path: Path) -> int:
    found = _NAME.fullmatch(path.name)
    return int(found[1]) if found else 0


def _lines(path: Path) -> Iterator[bytes]:
    with path.open("rb") as log:
        yield from log


def _parse(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    whole = isinstance(record, dict) and all(name in record for name in ("hash", "seal", "key", "prev"))
    return record if whole and type(record.get("seq")) is int and line == _line(record) else None


def _wrong(record: Record, head: Head, keys: Keys | None) -> str | None:
    if record["seq"] != head.seq + 1:
        return f"its number is {record['seq']}: records are missing or moved"
    if record["prev"] != head.hash:
        return "it does not follow the record before it"
    if record["hash"] != _hash(record):
        return "its content was changed"
    if keys and record["key"] in keys.by_id and record["seal"] != keys.mac(record["key"], record["hash"].encode()):
        return "its seal is not by the key that it names"
    return None


# ---- writing ---------------------------------------------------------------------------------------------------------


class Log:
    """One writer thread: everything that has arrived is chained, written and synced together, then acknowledged."""

    def __init__(self, folder: Path, keys: Keys, rotate: int) -> None:
        self._folder, self._keys, self._rotate = folder, keys, rotate
        self._folder.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(str(folder / "lock"))
        try:
            self._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(f"{folder.name}: another server writes this audit log: give each its own folder") from None
        self._number, self._head, self._size = self._resume()
        self._open_streams: set[str] = set()
        self._arrived: queue.SimpleQueue[tuple[Record, Future[Record]] | None] = queue.SimpleQueue()
        self._torn = False
        self.failing = False
        self._recover()
        self._thread = threading.Thread(target=self._work, name="audit", daemon=True)
        self._thread.start()

    def append(self, record: Record) -> Future[Record]:
        """The chained record, once it is on the disk; Unavailable where it cannot be."""
        return self._enqueue(record)

    def begin(self, record: Record) -> Future[Record]:
        """Note a stream before its first text leaves; if nothing ends it, the next start records it as interrupted."""
        return self._enqueue({**record, "outcome": "begun"})

    def close(self) -> None:
        self._arrived.put(None)
        self._thread.join()
        if not self.failing and not self._open_streams:
            with suppress(OSError):
                self._notes.unlink(missing_ok=True)
        self._lock.release()

    def _enqueue(self, record: Record) -> Future[Record]:
        done: Future[Record] = Future()
        self._arrived.put((record, done))
        return done

    @property
    def _notes(self) -> Path:
        return self._folder / "streams.jsonl"

    @property
    def _path(self) -> Path:
        return self._folder / f"audit-{self._number:06d}.jsonl"

    def _resume(self) -> tuple[int, Head, int]:
        """Where the log goes on.  A last line without an end was never acknowledged: it is taken away."""
        paths = files(self._folder)
        if not paths:
            return 1, Head(), 0
        head, size, path = Head(), 0, paths[-1]
        for path in reversed(paths):
            whole = path.read_bytes()
            size = whole.rfind(b"\n") + 1
            if size < len(whole):
                os.truncate(path, size)
                sync(path)
            if size:
                last = whole[whole.rfind(b"\n", 0, size - 1) + 1 : size]
                record = _parse(last)
                if record is None or record["hash"] != _hash(record):
                    raise UserError(f"{path.name}: its last record is broken: run doit audit, and begin a new folder")
                head = Head(record["seq"], record["hash"])
                break
        newest = paths[-1]
        return _number(newest), head, newest.stat().st_size

    def _recover(self) -> None:
        """Streams of which text may have left before the server was killed."""
        try:
            notes = [_parse_note(line) for line in self._notes.read_bytes().splitlines()]
        except FileNotFoundError:
            return
        begun = {note["id"]: note for note in notes if note}
        since = min((note.pop("file") for note in begun.values()), default=0)
        for path in files(self._folder):
            for line in _lines(path) if begun and _number(path) >= since else ():
                begun.pop((_parse(line) or {}).get("id"), None)
        batch = [({**note, "time": now(), "outcome": "interrupted"}, Future[Record]()) for note in begun.values()]
        if batch and not self._write(batch):
            raise UserError("the audit log cannot be written: is the disk full?")
        self._notes.unlink()

    def _work(self) -> None:
        going = True
        while going:
            batch = []
            entry = self._arrived.get()
            while entry is not None:
                batch.append(entry)
                if len(batch) == MOST_AT_ONCE or self._arrived.empty():
                    break
                entry = self._arrived.get()
            going = entry is not None
            if batch:
                self._write(batch)

    def _write(self, batch: list[tuple[Record, Future[Record]]]) -> bool:
        """All of them or, as far as anyone is told, none."""
        notes = [entry for entry in batch if entry[0]["outcome"] == "begun"]
        records = [entry for entry in batch if entry[0]["outcome"] != "begun"]
        try:
            if notes:
                self._write_notes([record for record, _ in notes])
            chained = self._write_records([record for record, _ in records]) if records else []
        except Exception as error:  # the disk's reason, whatever it is, must reach those who wait
            self.failing = True
            for _, done in batch:
                done.set_exception(Unavailable(error.__class__.__name__))
            return False
        self.failing = False
        for (_, done), whole in zip(records, chained, strict=True):
            done.set_result(whole)
        for note, done in notes:
            done.set_result(note)
        return True

    def _write_records(self, records: list[Record]) -> list[Record]:
        if self._torn and self._path.exists():
            os.truncate(self._path, self._size)
        if self._size >= self._rotate:
            self._number, self._size = self._number + 1, 0
        head, chained = self._head, []
        for record in records:
            chained.append(seal(record, head, self._keys))
            head = Head(chained[-1]["seq"], chained[-1]["hash"])
        data = b"".join(map(_line, chained))
        self._torn = True  # until all of it is on the disk
        _append(self._path, data)
        self._torn, self._head, self._size = False, head, self._size + len(data)
        self._open_streams.difference_update(record["id"] for record in records)
        return chained

    def _write_notes(self, notes: list[Record]) -> None:
        if not self._open_streams:
            self._notes.unlink(missing_ok=True)
        self._open_streams.update(note["id"] for note in notes)
        lines = (_line({**note, "file": self._number}) for note in notes)
        _append(self._notes, b"\n" + b"".join(lines))  # a line that was cut off before must not take this one along


def _parse_note(line: bytes) -> Record | None:
    """A note that was cut off belongs to a stream whose first text did not leave."""
    try:
        note = json.loads(line)
    except ValueError:
        return None
    return note if isinstance(note, dict) and {"id", "file"} <= note.keys() else None


def _append(path: Path, data: bytes) -> None:
    new = not path.exists()
    with path.open("ab", buffering=0) as log:
        view = memoryview(data)
        while view:
            view = view[log.write(view) :]
        os.fsync(log.fileno())
    if new:
        sync(path.parent)
