"""Stages on two real Ray nodes in network namespaces of their own; what is killed, and what comes of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.network import Cluster, There
from tests.house import House

pytestmark = pytest.mark.soak

PROFILE = """
store: {{mirror: '{mirror}', trusted: any}}
cluster: {{address: 10.77.0.1}}
run:
  doubled: {{where: cluster, resources: {{named: {{b: 1}}}}}}
  card: {{where: cluster}}
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    cluster = Cluster(folder, folder / "log.txt")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture
def there(cluster: Cluster, tmp_path: Path) -> Iterator[There]:
    """A project of its own, with a store of its own; each test asks for other values, and so for other keys."""
    house = There(tmp_path / "project", cluster)
    house.write("specs/tiny/profile.yaml", PROFILE.format(mirror=cluster.bucket()))
    house.write("specs/tiny/numbers.yaml", f"path: numbers.txt\noffset: {len(house.noted())}\n")
    yield house
    for door in cluster.folder.glob("hold-*"):
        door.unlink()


def manifests(house: House) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in (house.path / "artifacts/tiny").glob("*/manifest.json")}


def undisturbed(house: There, folder: Path) -> dict[str, bytes]:
    """The manifests of the same project, built by this machine alone."""
    alone = house.copy(folder)
    alone.write("specs/tiny/profile.yaml", "")
    plain = House.__new__(House)
    plain.path = alone.path
    assert plain.doit().code == 0
    return manifests(plain)


def jobs(cluster: Cluster, which: str, what: str = "so8t.cluster.node") -> list[int]:
    """The processes that build, on one node."""
    found = []
    for pid in cluster.network.pids(which):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if what.encode() in words and words[0].endswith(b"python"):
            found.append(pid)
    return found


def test_what_nodes_build_is_what_this_machine_builds(there: There, tmp_path: Path) -> None:
    run = there.doit()

    assert (run.code, run.out) == (0, ".  numbers\n.  doubled\n.  total\n.  card\n.  parity\n")
    assert run.ran[:4] == ["numbers", "doubled", "total", "card"]
    assert manifests(there) == undisturbed(there, tmp_path / "alone")
    told = [json.loads(line) for line in there.read("artifacts/.so8t/journal.jsonl").splitlines()]
    assert {entry["stage"]: entry["host"] for entry in told}["doubled"] == "node-b"
    assert there.why("numbers", "doubled") == ["numbers: up to date", "doubled: up to date, built on node-b"]
    assert there.doit().ran == []
    shutil.rmtree(there.path / "artifacts")
    assert there.doit().ran == []  # all of it from the store


def test_a_killed_doit_finds_its_job_again_log_and_all(there: There, cluster: Cluster, tmp_path: Path) -> None:
    there.hold("doubled")
    doing = there.start()
    there.wait_for("doubled")
    said = there.kill(doing)
    before = len(there.noted())
    with (tmp_path / "err").open("w+") as told:
        again = there.start(stderr=told)
        cluster.wait(lambda: "doubled: on node-b" in (tmp_path / "err").read_text(), "the job, found again")
        there.release("doubled")
        out, _ = again.communicate(timeout=120)
    err = (tmp_path / "err").read_text()

    assert again.returncode == 0, out + err
    job = said.split("sent to the cluster as job ")[1].split()[0]
    assert f"doubled: goes on as job {job}\n   doubled: on node-b\n" in err
    assert "doubled" not in there.noted()[before:]
    assert manifests(there) == undisturbed(there, tmp_path / "alone")


def test_a_killed_job_is_tried_again(there: There, cluster: Cluster, tmp_path: Path) -> None:
    there.hold("doubled")
    doing = there.start()
    there.wait_for("doubled")
    (job,) = jobs(cluster, "b")
    there.release("doubled")  # nobody is there to go on
    os.kill(job, signal.SIGKILL)
    out, err = doing.communicate(timeout=180)

    assert doing.returncode == 0, out + err
    assert "; trying again\n" in err
    assert manifests(there) == undisturbed(there, tmp_path / "alone")


def test_ctrl_c_leaves_the_job_and_a_second_one_stops_it(there: There, cluster: Cluster, tmp_path: Path) -> None:
    there.hold("doubled")
    doing = there.start()
    there.wait_for("doubled")
    os.killpg(doing.pid, signal.SIGINT)
    _, err = doing.communicate(timeout=60)

    assert doing.returncode == 130
    assert "; Ctrl-C again within 5 s stops it there\n" in err
    assert err.endswith("interrupted: finished stages and checkpoints are kept; `doit` goes on\n")
    assert len(jobs(cluster, "b")) == 1

    with (tmp_path / "err").open("w+") as told:
        doing = there.start(stderr=told)
        cluster.wait(lambda: "doubled: on node-b" in (tmp_path / "err").read_text(), "the job, found again")
        os.killpg(doing.pid, signal.SIGINT)
        cluster.wait(lambda: "Ctrl-C again" in (tmp_path / "err").read_text(), "the sentence")
        time.sleep(1.2)
        os.killpg(doing.pid, signal.SIGINT)
        doing.wait(timeout=60)
    err = (tmp_path / "err").read_text()

    assert doing.returncode == 130
    assert "is told to stop\n" in err
    cluster.wait(lambda: jobs(cluster, "b") == [], "the end of the job", 30)
    there.release("doubled")
    assert there.doit().code == 0
    assert manifests(there) == undisturbed(there, tmp_path / "alone")


def test_a_closed_terminal_leaves_the_job(there: There, cluster: Cluster, tmp_path: Path) -> None:
    there.hold("doubled")
    doing = there.start()
    there.wait_for("doubled")
    os.killpg(doing.pid, signal.SIGHUP)
    doing.communicate(timeout=60)
    before = len(there.noted())

    assert len(jobs(cluster, "b")) == 1
    there.release("doubled")
    run = there.doit()
    assert (run.code, there.noted()[before:]) == (0, ["total", "card", "parity"]), run.err
    assert manifests(there) == undisturbed(there, tmp_path / "alone")
