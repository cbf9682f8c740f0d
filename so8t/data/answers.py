"""Answers that cost something to get, kept by key in an append-only file: a kill loses none that was put."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from so8t.errors import DataError


class Answers:
    """JSON lines with a `key`, each synced before put() returns.

    A last line that a kill tore is cut off; its answer has to be asked for again.
    In memory stands only where each line begins.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
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

    def get(self, key: str) -> dict[str, Any] | None:
        with self._lock:
            place = self._places.get(key)
            if place is None:
                return None
            self._file.seek(place)
            answer: dict[str, Any] = orjson.loads(self._file.readline())
            return answer

    def put(self, key: str, answer: dict[str, Any]) -> dict[str, Any]:
        """Keep the answer; the first one for a key stays and is returned, so that every asker gets the same."""
        with self._lock:
            if key not in self._places:
                place = self._file.seek(0, os.SEEK_END)
                self._file.write(orjson.dumps({"key": key, **answer}, option=orjson.OPT_APPEND_NEWLINE))
                self._file.flush()
                os.fsync(self._file.fileno())
                self._places[key] = place
                return {"key": key, **answer}
        kept = self.get(key)
        assert kept is not None
        return kept

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
