"""Answers that cost something to get, kept by key in an append-only file: a kill loses none that was put."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from so8t.errors import DataError
from so8t.store.atomic import write_atomic


class Answers:
    """JSON lines with a `key`, each written out before put() returns, and synced by the first put() in `lag` seconds.

    A last line that a kill tore is cut off; its answer has to be asked for again.
    In memory stands only where each line begins.
    """

    def __init__(self, path: Path, lag: float = 0.0) -> None:
        self._path, self._lag = path, lag
        self._synced = time.monotonic()
        self._wanted: set[str] = set()
        self._lock = threading.Lock()
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b")
        self._places, end = self._scan()
        if end < self._file.seek(0, os.SEEK_END):
            self._file.truncate(end)

    def _scan(self) -> tuple[dict[str, int], int]:
        places: dict[str, int] = {}
        position = torn = 0
        self._file.seek(0)
        for number, line in enumerate(self._file, 1):
            if torn:
                raise DataError(f"{self._path}:{torn}: not a kept answer; mend or remove that line, or remove the file")
            key = _key(line)
            if key is None:
                torn = number
                continue
            places.setdefault(key, position)
            position += len(line)
        return places, position

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, key: str) -> bool:
        return key in self._places

    def get(self, key: str) -> dict[str, Any] | None:
        if key not in self:
            return None
        return self[key]

    def __getitem__(self, key: str) -> dict[str, Any]:
        with self._lock:
            self._wanted.add(key)
            answer: dict[str, Any] = orjson.loads(self._line(self._places[key]))
            return answer

    def put(self, key: str, answer: dict[str, Any]) -> dict[str, Any]:
        """Keep the answer; the first one for a key stays and is returned, so that every asker gets the same."""
        with self._lock:
            if key not in self._places:
                place = self._file.seek(0, os.SEEK_END)
                self._file.write(orjson.dumps({"key": key, **answer}, option=orjson.OPT_APPEND_NEWLINE))
                self._file.flush()
                if time.monotonic() - self._synced >= self._lag:
                    os.fsync(self._file.fileno())
                    self._synced = time.monotonic()
                self._wanted.add(key)
                self._places[key] = place
                return {"key": key, **answer}
        return self[key]

    def close_without_others(self) -> None:
        """Close the file, and leave in it only what was asked for or put since it was opened."""
        with self._lock:
            kept = [self._line(place) for key, place in self._places.items() if key in self._wanted]
            others = len(self._places) - len(kept)
            self._file.close()
        if others:
            write_atomic(self._path, b"".join(kept))

    def _line(self, place: int) -> bytes:
        self._file.seek(place)
        return self._file.readline()

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def _key(line: bytes) -> str | None:
    """The line's key, or None for a line that a kill may have torn."""
    if not line.endswith(b"\n"):
        return None
    try:
        key = orjson.loads(line)["key"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return key if isinstance(key, str) else None
