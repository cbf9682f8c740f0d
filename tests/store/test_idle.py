"""Leases that nobody holds any more go from a mirror, and nothing else does."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from so8t.commands import gc
from so8t.store import idle, remote
from so8t.store.lease import Lease
from so8t.store.mirror import Mirror
from so8t.store.s3 import S3Objects

HOUR = 3600


def test_leases_that_were_not_written_for_a_day_go(s3: str) -> None:
    mirror, objects = Mirror(s3), S3Objects(s3)
    objects.create("entries/ab.json", b"{}")
    for name in ("ab", "cd"):
        objects.create(f"leases/{name}.json", Lease("the dead", 60.0).encode())
    now = time.time()

    assert idle.sweep(mirror, False, now + 23 * HOUR) == 0
    assert idle.sweep(mirror, True, now + 25 * HOUR) == 2
    assert objects.read("leases/ab.json")
    assert idle.sweep(mirror, False, now + 25 * HOUR) == 2
    fs, base = remote.open_fs(s3)
    assert fs.find(base) == [f"{base}/entries/ab.json"]
    assert gc.sweep_leases(mirror, False) == 0


def test_a_mirror_without_leases_is_not_asked(tmp_path: Path) -> None:
    assert idle.sweep(Mirror(f"file://{tmp_path}/nowhere"), False) == 0


def test_a_mirror_that_cannot_be_used_is_a_warning(s3: str, capsys: pytest.CaptureFixture[str]) -> None:
    lost = s3.replace("s3://b", "s3://nothere")

    assert gc.sweep_leases(Mirror(lost), False) == 0
    assert capsys.readouterr().err == (
        f"warning: mirror {lost}: its leases stay: there is no such bucket; create it, or correct store.mirror (The "
        "specified bucket does not exist)\n"
    )
