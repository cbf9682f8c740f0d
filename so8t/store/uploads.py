"""Uploads of large files in parts: a killed one leaves parts in the store that nobody sees and somebody pays for.

Each upload is noted in a file under a lock that dies with its process; the next upload of this checkout clears away
what was noted and whose process is gone.  What other machines left is cleared when it is a day old.
"""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from so8t.store.atomic import write_atomic

OLD = timedelta(days=1)


@contextmanager
def noted(notes: Path, key: str) -> Iterator[None]:
    """An upload to this key of the bucket is under way in this process."""
    from filelock import FileLock

    note = notes / f"{secrets.token_hex(8)}.json"
    write_atomic(note, json.dumps(key).encode())
    with FileLock(str(note.with_suffix(".lock"))):
        yield
    _forget(note)


@contextmanager
def room(notes: Path | None) -> Iterator[Path]:
    """A folder for what is made to be uploaded, beside the notes; those of processes that died are removed."""
    if notes is None:
        with TemporaryDirectory(prefix="so8t-") as folder:
            yield Path(folder)
        return
    from filelock import FileLock, Timeout

    for lock in sorted(notes.glob("room-*.lock")):
        with suppress(Timeout), FileLock(str(lock), timeout=0):
            shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
            lock.unlink(missing_ok=True)
    own = notes / f"room-{secrets.token_hex(8)}"
    notes.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{own}.lock"):
        own.mkdir()
        try:
            yield own
        finally:
            shutil.rmtree(own)
    Path(f"{own}.lock").unlink(missing_ok=True)


def clear(fs: Any, bucket: str, prefix: str, notes: Path) -> list[str]:
    """Remove what uploads left that nobody goes on with; the keys that they were for."""
    known = {key: (note, alive) for key, note, alive in _noted(notes)}
    answer = fs.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=prefix)
    now = _server_time(answer)
    cleared = []
    for upload in answer.get("Uploads", []):
        key = upload["Key"]
        dead = not known[key][1] if key in known else now - upload["Initiated"] > OLD
        if key.startswith(prefix) and dead:
            fs.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload["UploadId"])
            cleared.append(key)
    for note, alive in known.values():
        if not alive:
            _forget(note)
    return cleared


def _noted(notes: Path) -> Iterator[tuple[str, Path, bool]]:
    """Each upload that this checkout began and did not end: its key, its note, and whether its process is alive."""
    from filelock import FileLock, Timeout

    for note in sorted(notes.glob("*.json")):
        try:
            key = str(json.loads(note.read_bytes()))
        except FileNotFoundError:
            continue  # it has just ended
        try:
            with FileLock(str(note.with_suffix(".lock")), timeout=0):
                yield key, note, False
        except Timeout:
            yield key, note, True


def _forget(note: Path) -> None:
    note.unlink(missing_ok=True)
    note.with_suffix(".lock").unlink(missing_ok=True)


def _server_time(answer: dict[str, Any]) -> datetime:
    """The store's own clock, by which it says when an upload began."""
    date = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
    return parsedate_to_datetime(date) if date else datetime.now(timezone.utc)
