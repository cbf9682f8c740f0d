"""Answers that cost something to get, kept by key in an append-only file: a kill loses none that was put."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import orjson

from so8t.store.appendlog import Log
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
        self._log = Log(path, _key, "not an answer; correct or remove that line, or remove the file")
        self._places: dict[str, int] = {}
        end = 0
        for line, key in self._log.entries():
            self._places.setdefault(key, end)
            end += len(line)
        self._log.cut(end)

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
            answer: dict[str, Any] = orjson.loads(self._log.line(self._places[key]))
            return answer

    def put(self, key: str, answer: dict[str, Any]) -> dict[str, Any]:
        """Keep the answer; the first one for a key stays and is returned, so that every asker gets the same."""
        with self._lock:
            if key not in self._places:
                place = self._log.append(orjson.dumps({"key": key, **answer}, option=orjson.OPT_APPEND_NEWLINE))
                if time.monotonic() - self._synced >= self._lag:
                    self._log.sync()
                    self._synced = time.monotonic()
                self._wanted.add(key)
                self._places[key] = place
                return {"key": key, **answer}
        return self[key]

    def close_without_others(self) -> None:
        """Close the file, and leave in it only what was asked for or put since it was opened."""
        with self._lock:
            kept = [self._log.line(place) for key, place in self._places.items() if key in self._wanted]
            others = len(self._places) - len(kept)
            self._log.close()
        if others:
            write_atomic(self._path, b"".join(kept))

    def __enter__(self) -> Answers:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._log.close()


def _key(line: bytes) -> str | None:
    try:
        key = orjson.loads(line)["key"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    return key if isinstance(key, str) else None
