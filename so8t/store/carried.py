"""Checkpoints of a build under way in the shared store, so that a machine that dies costs minutes and not hours.

A resumable stage leaves folders `checkpoint-N` in a folder of its own in its work folder, each by one rename; beside
them lie what they count on: folders `best-N`, and logs `*.jsonl` that are only added to.  The newest checkpoint with
these goes to the mirror under the key, signed like a result, and a machine that has none takes it from there.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from so8t.store import blobs, remote, troubles
from so8t.store.digest import blake3_of
from so8t.store.lease import Lost
from so8t.store.manifest import File, is_inside
from so8t.store.mirror import Mirror
from so8t.store.objects import MirrorError, put
from so8t.store.trust import Distrust

T = TypeVar("T")
_NAME = "checkpoint-"


@dataclass(frozen=True)
class Place:
    """Where the checkpoints of one key lie, here and there."""

    mirror: Mirror
    stage: str
    key: str
    out: Path

    @property
    def name(self) -> str:
        return f"checkpoints/{self.key}.json"

    @property
    def url(self) -> str:
        return f"{self.mirror.url}/checkpoints/{self.key}"

    @property
    def aside(self) -> Path:
        return self.out.parent / "carried"


@contextmanager
def carried(place: Place, minutes: float) -> Iterator[None]:
    """Take what is there, unless there is something here, and send what is made meanwhile.

    A build that is told to end sends the checkpoint that it leaves: its machine may be gone in a moment.
    """
    found = _warned(place, lambda: remote.objects(place.mirror.url).read(place.name))
    if found is not None and newest(place.out) is None:
        _warned(place, lambda: take(place, found.data))
    sender = _Sender(place, found.version if found else None)
    ended = threading.Event()
    sending = threading.Thread(target=sender.run, args=(minutes * 60, ended), daemon=True)
    sending.start()
    try:
        yield
    except KeyboardInterrupt:
        ended.set()
        sending.join()
        if sender.send():
            print(f"{place.stage}: the checkpoint after step {sender.sent:,} lies in the mirror", file=sys.stderr)
        raise
    finally:
        ended.set()
        sending.join(timeout=5)  # what is on its way then is worth nothing any more, or comes too late


def newest(out: Path) -> Path | None:
    return max(out.glob(f"*/{_NAME}*"), key=_step, default=None)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(_NAME))


# ---- there -----------------------------------------------------------------------------------------------------


@dataclass
class _Sender:
    """Sends the newest checkpoint, if it is newer than the last that it sent."""

    place: Place
    version: str | None  # of what lies in the mirror, as far as it is known here
    sent: int = 0  # its step
    is_followed: bool = False  # another goes on from what is there

    def run(self, pause: float, ended: threading.Event) -> None:
        while not self.is_followed and not ended.wait(pause):
            self.send()

    def send(self) -> bool:
        place, last = self.place, newest(self.place.out)
        if self.is_followed or last is None or _step(last) <= self.sent or not snapshot(place.out, place.aside):
            return False
        try:
            self.version = send(place, place.aside, self.version)
        except Lost:
            self.is_followed = True
            return False
        except MirrorError as error:
            print(f"warning: {place.stage}: checkpoint not sent: {error}", file=sys.stderr, flush=True)
            return False
        self.sent = _step(last)
        return True


def snapshot(out: Path, into: Path) -> bool:
    """The newest checkpoint and what it counts on, in a folder that nobody prunes; False if it was pruned meanwhile."""
    shutil.rmtree(into, ignore_errors=not into.exists())
    last = newest(out)
    if last is None:
        return False
    whole = [path for folder in (last, *last.parent.glob("best-*")) for path in folder.rglob("*") if path.is_file()]
    try:
        for path in [*whole, *last.parent.glob("*.jsonl")]:
            target = into / path.relative_to(out)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
    except FileNotFoundError:
        return False
    return newest(out) == last


def send(place: Place, folder: Path, version: str | None) -> str | None:
    """The files, then the object that names them; its version.  Lost if another builder's lies there by now."""
    if not place.mirror.trust.offers:
        return version
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    files = [File(path.relative_to(folder).as_posix(), path.stat().st_size, blake3_of(path)) for path in paths]
    place.mirror.fence()  # before gigabytes travel
    try:
        blobs.agree(place.mirror.url, place.mirror.encryption)
        blobs.send(place.url, place.mirror.notes, folder, files, place.mirror.encryption)
        place.mirror.fence()
        made = put(remote.objects(place.mirror.url), place.name, _encode(place, files), version)
        if made is None:
            raise Lost(f"{place.stage}: another builder's checkpoint lies in the mirror")
        _prune(place, {blobs.name(file, place.mirror.encryption) for file in files})
    except (Lost, MirrorError):
        raise
    except Exception as error:  # each fsspec backend raises errors of its own
        raise MirrorError(f"mirror {place.mirror.url}: {troubles.explain(error)}") from error
    return made


def _encode(place: Place, files: list[File]) -> bytes:
    """The signed line, and a line for the signature."""
    data = json.dumps({"key": place.key, "files": [file.as_dict() for file in files]}, sort_keys=True).encode()
    signed = place.mirror.trust.sign(data)
    return data + b"\n" + (f"{signed[0]} {signed[1].decode()}".encode() if signed else b"")


def _prune(place: Place, keep: set[str]) -> None:
    fs, base = remote.open_fs(place.url)
    for path in fs.find(base):
        if path.rsplit("/", 1)[1] not in keep:
            fs.rm_file(path)


def forget(place: Place) -> None:
    """The result is there: nobody goes on from here."""

    def remove() -> None:
        objects = remote.objects(place.mirror.url)
        if objects.read(place.name) is not None:
            objects.remove(place.name)
            _prune(place, set())

    _warned(place, remove)


# ---- and back --------------------------------------------------------------------------------------------------


def take(place: Place, whole: bytes) -> None:
    """Bring the files of a checkpoint to their places, its own folder last."""
    shutil.rmtree(place.aside, ignore_errors=not place.aside.exists())
    try:
        files = _decode(place, whole)
        for file in files:
            (place.aside / file.path).parent.mkdir(parents=True, exist_ok=True)
        blobs.fetch(place.url, [(file, place.aside / file.path) for file in files], place.mirror.encryption)
    except MirrorError:
        raise
    except (Distrust, ValueError, KeyError, TypeError) as error:
        raise MirrorError(f"mirror {place.mirror.url}: {place.name} {error}") from error
    except Exception as error:  # each fsspec backend raises errors of its own
        raise MirrorError(f"mirror {place.mirror.url}: {place.name}: {troubles.explain(error)}") from error
    for path in sorted(place.aside.glob("*/*"), key=lambda path: (path.name.startswith(_NAME), path.name)):
        target = place.out / path.relative_to(place.aside)
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.is_dir():
            shutil.rmtree(target)
        os.replace(path, target)
    last = newest(place.out)
    if last is not None:
        print(f"{place.stage}: the checkpoint after step {_step(last):,} comes from the mirror", file=sys.stderr)


def _decode(place: Place, whole: bytes) -> list[File]:
    data, _, signature = whole.partition(b"\n")
    name, _, line = signature.decode().partition(" ")
    place.mirror.trust.check(data, lambda wanted: line.encode() if wanted == name else None)
    said: dict[str, Any] = json.loads(data)
    if said["key"] != place.key:
        raise ValueError("belongs to another key")
    files = [File(entry["path"], entry["size"], entry["blake3"]) for entry in said["files"]]
    if not all(is_inside(file.path) for file in files):
        raise ValueError("leaves its folder")
    return files


def _warned(place: Place, call: Callable[[], T]) -> T | None:
    try:
        return call()
    except MirrorError as error:
        print(f"warning: {place.stage}: {error}; going on without its checkpoint", file=sys.stderr, flush=True)
        return None
