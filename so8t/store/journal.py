"""The build journal: when, where and how long.  Facts that must not enter a manifest."""

from __future__ import annotations

import json
import os
import platform
import sys
from datetime import datetime, timezone

from so8t.store import appendlog
from so8t.store.layout import Layout


def append(layout: Layout, stage: str, key: str, outcome: str, seconds: float) -> None:
    entry = {
        "when": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "host": platform.node(),
        "process": os.getpid(),
        "profile": layout.profile,
        "stage": stage,
        "key": key,
        "outcome": outcome,
        "seconds": round(seconds, 3),
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
