"""Leases in a mirror that nobody holds any more: those of results that were made long ago, and of builders that died.

Nothing is asked of other clocks but that they agree within a day: a lease that is held is written three times a minute.
What a mirror holds besides is not looked at, for nobody here knows who still wants it.
"""

from __future__ import annotations

import time

from so8t.store import remote, s3, troubles
from so8t.store.mirror import Mirror
from so8t.store.objects import MirrorError

_DAY = 24 * 3600  # seconds


def sweep(mirror: Mirror, dry: bool, now: float | None = None) -> int:
    """How many leases were not written for a day; they go, unless it is `dry`."""
    if not s3.is_s3(mirror.url) or not mirror.trust.offers:
        return 0
    late = (time.time() if now is None else now) - _DAY
    fs, base = remote.open_fs(mirror.url)
    try:
        found = fs.find(f"{base}/leases", detail=True)
        idle = sorted(path for path, about in found.items() if about["LastModified"].timestamp() < late)
        for path in idle if not dry else ():
            fs.rm_file(path)
    except Exception as error:  # of botocore, s3fs and aiohttp
        raise MirrorError(f"mirror {mirror.url}: its leases stay: {troubles.explain(error)}") from error
    return len(idle)
