"""The audit log: append-only JSONL, each record chained to the one before.

A record counts once it is on the disk, and only then the answer leaves; records that arrive together share one sync.
Prompt and thinking are in it as keyed hashes alone.
"""

from __future__ import annotations

import json
import os
import queue
import threading
from concurrent.futures import Future
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from so8t.errors import UserError
from so8t.serve.chain import Head, Record, decode, digest_of, encode, files, number_of, read, seal
from so8t.serve.keys import Keys
from so8t.store import appendlog

MOST_AT_ONCE = 256


class Unavailable(Exception):
    """The log cannot be written, so nothing may be answered."""


def now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")


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
        head, path = Head(), paths[-1]
        for path in reversed(paths):
            if size := appendlog.mend(path):
                whole = path.read_bytes()
                record = decode(whole[whole.rfind(b"\n", 0, size - 1) + 1 :])
                if record is None or record["hash"] != digest_of(record):
                    raise UserError(f"{path.name}: its last record is broken: run doit audit, and begin a new folder")
                head = Head(record["seq"], record["hash"])
                break
        newest = paths[-1]
        return number_of(newest), head, newest.stat().st_size

    def _recover(self) -> None:
        """Streams of which text may have left before the server was killed."""
        try:
            notes = [_note(line) for line in self._notes.read_bytes().splitlines()]
        except FileNotFoundError:
            return
        begun = {note["id"]: note for note in notes if note}
        since = min((note.pop("file") for note in begun.values()), default=0)
        for path in files(self._folder):
            for line in read(path) if begun and number_of(path) >= since else ():
                begun.pop((decode(line) or {}).get("id"), None)
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
        data = b"".join(map(encode, chained))
        self._torn = True  # until all of it is on the disk
        appendlog.append(self._path, data, synced=True)
        self._torn, self._head, self._size = False, head, self._size + len(data)
        self._open_streams.difference_update(record["id"] for record in records)
        return chained

    def _write_notes(self, notes: list[Record]) -> None:
        if not self._open_streams:
            self._notes.unlink(missing_ok=True)
        self._open_streams.update(note["id"] for note in notes)
        lines = (encode({**note, "file": self._number}) for note in notes)
        appendlog.mend(self._notes)  # what a full disk cut off must not take this one along
        appendlog.append(self._notes, b"".join(lines), synced=True)


def _note(line: bytes) -> Record | None:
    """A note that was cut off belongs to a stream whose first text did not leave."""
    try:
        note = json.loads(line)
    except ValueError:
        return None
    return note if isinstance(note, dict) and {"id", "file"} <= note.keys() else None
