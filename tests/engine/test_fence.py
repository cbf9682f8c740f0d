"""Builders on several machines and one store: who builds, who waits, and who publishes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from so8t.engine.bring import Target, bring
from so8t.engine.fence import fenced
from so8t.errors import StageError, UserError
from so8t.store import lease
from so8t.store.lease import Lease
from so8t.store.mirror import Mirror
from so8t.store.s3 import S3Objects
from tests.yard import Yard, files_of, fingerprint

KEY = fingerprint("1").key
LEASE = f"leases/{KEY}.json"
ROOT = Path(__file__).parents[2]


def target(yard: Yard) -> Target:
    return Target(yard.layout, yard.store, fingerprint("1"), ("model/", "text.txt"))


def build(yard: Yard, pause: float = 0.0, seconds: float = 60.0) -> str:
    def filled(out: Path) -> None:
        yard.write("1")
        time.sleep(pause)

    with fenced(target(yard), stop=lambda: None, seconds=seconds) as shared:
        return bring(shared, filled)


def test_of_builders_at_once_one_builds_and_the_others_take_its_result(
    tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_POLL", 0.1)
    yards = [Yard(tmp_path / name, mirror=s3) for name in ("a", "b")]
    ends: list[str] = []
    threads = [threading.Thread(target=lambda yard=yard: ends.append(build(yard, 0.3))) for yard in yards]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ends) == ["built", "restored"]
    assert [yard.texts() for yard in yards] == [files_of("1"), files_of("1")]
    assert lease.decode(S3Objects(s3).read(LEASE).data).free  # type: ignore[union-attr]


def test_a_builder_whose_lease_was_taken_is_stopped_and_publishes_nothing(tmp_path: Path, s3: str) -> None:
    yard, stopped = Yard(tmp_path, mirror=s3), threading.Event()

    def robbed(out: Path) -> None:
        yard.write("1")
        found = S3Objects(s3).read(LEASE)
        assert found
        S3Objects(s3).swap(LEASE, Lease("node 7", 60.0).encode(), found.version)
        assert stopped.wait(10)
        raise KeyboardInterrupt

    with pytest.raises(StageError) as caught, fenced(target(yard), stop=stopped.set, seconds=0.6) as shared:
        bring(shared, robbed)

    assert str(caught.value) == (f"the lease of {KEY[:16]} is node 7's by now; nothing was published, run doit again")
    assert not yard.folder().exists()
    assert yard.store.find(KEY) is None


def test_a_builder_that_is_silent_is_followed_by_the_next(tmp_path: Path, s3: str) -> None:
    S3Objects(s3).create(LEASE, Lease("the dead", 0.3, 7).encode())

    began = time.monotonic()
    assert build(Yard(tmp_path, mirror=s3)) == "built"
    assert time.monotonic() - began >= 0.3


@pytest.mark.soak
def test_a_builder_that_was_killed_is_followed_by_the_next_once_it_is_silent(tmp_path: Path, s3: str) -> None:
    script = (
        "import sys, time; from so8t.store import lease; from so8t.store.s3 import S3Objects\n"
        "with lease.held(S3Objects(sys.argv[1]), sys.argv[2], 'the dead', lambda: False, None, 1.0):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, s3, KEY]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as dead:
        assert dead.stdout and dead.stdout.readline() == b"held\n"
        dead.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
        dead.wait()
    found = S3Objects(s3).read(LEASE)
    assert found and lease.decode(found.data).holder == "the dead"

    began = time.monotonic()
    assert build(Yard(tmp_path, mirror=s3)) == "built"
    assert time.monotonic() - began >= 1.0


def test_a_store_that_keeps_no_conditions_is_refused_by_name(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/mirror"

    with pytest.raises(UserError) as caught:
        Mirror(url).fencing()

    assert str(caught.value) == (
        f"store.mirror: {url}: builders on a cluster cannot share this store, though one machine at a time can: "
        "only S3 can be written under a condition"
    )


def test_without_a_mirror_nothing_is_shared(tmp_path: Path) -> None:
    with pytest.raises(StageError) as caught, fenced(target(Yard(tmp_path))):
        pass

    assert str(caught.value) == "thing: builders on a cluster share a store: set store.mirror in profile.yaml"
