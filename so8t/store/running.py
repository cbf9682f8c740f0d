"""What is running now, for whoever looks: a small file for each stage under way, written a few times a second at most.

Nothing waits for these files and nothing depends on them: one that cannot be written is not there, and one that is torn
is read the next time.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

BUILD = "SO8T_BUILD"  # in the environment: the number of the doit that builds
SCREEN = "SO8T_SCREEN"  # in the environment of what is drawn by that doit on its terminal
_PAUSE = 0.2  # seconds between two words


@dataclass(frozen=True)
class Running:
    """Times are seconds since the epoch; a `total` of 0 is unknown.

    `part` names what is counted now, where a stage counts several things; counting began with `start` at `since`.
    """

    stage: str
    build: str
    process: int
    began: float
    part: str = ""
    unit: str = ""
    done: int = 0
    total: int = 0
    start: int = 0
    since: float = 0.0
    detail: str = ""


class _Here:
    """The stage that this process builds, and where it says so."""

    def __init__(self, path: Path, stage: str) -> None:
        self.path, self.spoke = path, 0.0
        self.now = Running(stage, os.environ.get(BUILD, ""), os.getpid(), time.time())

    def write(self) -> None:
        with contextlib.suppress(OSError):
            self.path.write_text(json.dumps(asdict(self.now), ensure_ascii=False), "utf-8")


_here: list[_Here] = []  # a stage may have to bring another one back first


@contextlib.contextmanager
def during(path: Path, stage: str) -> Iterator[None]:
    """The file is there as long as the stage is built."""
    here = _Here(path, stage)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
    here.write()
    _here.append(here)
    try:
        yield
    finally:
        _here.remove(here)
        with contextlib.suppress(OSError):
            path.unlink()


def tell(unit: str, done: int, total: int = 0, start: int = 0, part: str = "", detail: str = "") -> None:
    """So much is done of so much, `start` of it by an earlier process; free where nothing is built."""
    if not _here:
        return
    here, now = _here[-1], time.monotonic()
    same = (here.now.unit, here.now.part, here.now.total) == (unit, part, total)
    if same and (done < total or not total) and now - here.spoke < _PAUSE:
        return
    begun = {} if same else {"start": start, "since": time.time()}
    here.now = replace(here.now, unit=unit, part=part, done=done, total=total, detail=detail, **begun)  # type: ignore[arg-type]
    here.spoke = now
    here.write()


def is_drawn() -> bool:
    """Whether doit shows on its terminal what is told here."""
    return bool(os.environ.get(SCREEN))


def read(folder: Path) -> list[Running]:
    """Everything that says that it runs, the first one first; a file may outlive a power cut."""
    found = []
    for path in sorted(folder.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            found.append(Running(**json.loads(path.read_bytes())))
    return sorted(found, key=lambda each: each.began)
