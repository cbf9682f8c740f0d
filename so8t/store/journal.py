"""The build journal: when, where and how long.  Facts that must not enter a manifest."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any

from so8t.store import appendlog
from so8t.store.layout import Layout


def append(
    layout: Layout,
    stage: str,
    key: str,
    outcome: str,
    seconds: float,
    memory: int | None = None,
    host: str | None = None,
    made: str | None = None,
) -> None:
    """`memory`: the most bytes that its process held at once, where the system tells; `host`: where that was.

    `made`: the machine that computed what was restored, where that is known.
    """
    entry = {
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "host": host or platform.node(),
        "process": os.getpid(),
        "profile": layout.profile,
        "stage": stage,
        "key": key,
        "outcome": outcome,
        "seconds": round(seconds, 3),
        **({"memory": memory} if memory else {}),
        **({"made": made} if made else {}),
    }
    from filelock import FileLock

    path = layout.shared / "journal.jsonl"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):  # what another stage writes at this moment is not torn
            appendlog.mend(path)
            appendlog.append(path, (json.dumps(entry, ensure_ascii=False) + "\n").encode("utf-8"))
    except OSError as error:  # the artifact is published: a missing line must not call it failed
        print(f"warning: {stage}: not in the journal: {error.strerror}: {layout.shown(path)}", file=sys.stderr)


def read(layout: Layout) -> Iterator[dict[str, Any]]:
    """All that was told of this folder of artifacts, oldest first; nothing where nothing was."""
    path = layout.shared / "journal.jsonl"
    if path.exists():
        yield from appendlog.read(path, _decode, "not an entry of the journal, but more follow; remove this line")


def by_key(layout: Layout) -> dict[str, list[dict[str, Any]]]:
    """The same, for each key that was told of."""
    told: dict[str, list[dict[str, Any]]] = {}
    for entry in read(layout):
        told.setdefault(entry["key"], []).append(entry)
    return told


def machine(told: Sequence[Mapping[str, Any]]) -> str | None:
    """The one that computed a result, from all that was told of its key; None where nobody knows."""
    for entry in reversed(told):
        if entry["outcome"] == "built":
            return str(entry["host"])
        if "made" in entry:
            return str(entry["made"])
    return None


def _decode(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and {"key", "profile", "outcome"} <= entry.keys() else None
