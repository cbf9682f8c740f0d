"""How fast a run is and what memory it takes, interval by interval: lines in its logs, a picture at the end.

Nothing here belongs to a result: times differ from run to run.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson

from so8t.errors import DataError
from so8t.store import appendlog

LINES = "pace.jsonl"
PICTURE = "throughput.png"


class Pace:
    """A resumed run adds to the lines of those before it; `run` counts them.

    Logs that cannot be written (a full disk) end with a word on stderr, and training goes on.
    """

    def __init__(self, folder: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._path, self._clock = folder / LINES, clock
        self._begun = self._last = clock()
        self._run, self._working = 1, True
        self._try(self._open)

    def sample(self, step: int, tokens: int) -> dict[str, Any]:
        """An interval has ended with `step`; so many tokens went through the model in it.  The line."""
        now = self._clock()
        line = {
            "run": self._run,
            "step": step,
            "seconds": round(now - self._begun, 3),
            "tokens": tokens,
            "tokens_per_second": round(tokens / (now - self._last), 1) if now > self._last else None,
            **memory(),
        }
        self._last = now
        self._try(lambda: self._append(line))
        return line

    def close(self) -> None:
        """The picture of all runs' lines."""
        self._try(lambda: picture(self._path))

    def _open(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        appendlog.mend(self._path)
        self._run = 1 + max((line["run"] for line in read(self._path)), default=0)

    def _append(self, line: dict[str, Any]) -> None:
        appendlog.append(self._path, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def _try(self, act: Callable[[], None]) -> None:
        if not self._working:
            return
        try:
            act()
        except (OSError, DataError) as error:
            self._working = False
            print(f"speed and memory are not logged any more: {error}", file=sys.stderr)


def memory() -> dict[str, int]:
    """Bytes: what is resident now, and the most that was allocated on GPUs since the last look."""
    import psutil
    import torch

    found = {"resident": int(psutil.Process().memory_info().rss)}
    if torch.cuda.is_initialized():
        devices = range(torch.cuda.device_count())
        found["device_peak"] = sum(torch.cuda.max_memory_allocated(device) for device in devices)
        for device in devices:
            torch.cuda.reset_peak_memory_stats(device)
    return found


def read(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a log; none, where none was written."""
    return appendlog.read(path, _decode, "not a line of this log; remove it") if path.exists() else iter(())


def _decode(line: bytes) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return found


def picture(log: Path) -> None:
    """throughput.png beside the log; without matplotlib, a word about it."""
    lines = [line for line in read(log) if line["tokens_per_second"] is not None]
    if not lines:
        return
    try:
        from so8t.plots import throughput
    except ImportError:
        print(f"{PICTURE} needs matplotlib: pip install 'so8t[report]'", file=sys.stderr)
        return
    throughput.draw(lines, log.with_name(PICTURE))
