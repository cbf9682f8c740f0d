"""Stages on two real Ray nodes in network namespaces of their own; what is killed, and what comes of it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.network import Cluster, There, cluster_of, project_of
from tests.cluster.story import manifests
from tests.house import DOIT, House
from tests.whole.pico import Pico

pytestmark = pytest.mark.soak

PROFILE = """
store: {{mirror: '{mirror}', trusted: any}}
cluster: {{address: 10.77.0.1}}
run:
  doubled: {{where: cluster, resources: {{named: {{b: 1}}}}}}
  card: {{where: cluster}}
"""


cluster, there = cluster_of(Cluster), project_of(PROFILE)


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


class Story:
    """A doit whose words are read while it runs; at the end of the block it is waited for."""

    def __init__(self, house: Any, folder: Path) -> None:
        self._house, self._path = house, folder / "told"

    def __enter__(self) -> Story:
        with self._path.open("w") as told:
            self.process = self._house.start(stdout=subprocess.DEVNULL, stderr=told)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=300)

    @property
    def said(self) -> str:
        return self._path.read_text("utf-8")

    def wait(self, text: str) -> None:
        self._house.cluster.wait(lambda: text in self.said or self.process.poll() is not None, text, 240)
        assert text in self.said, self.said


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


def test_the_data_part_built_by_nodes_is_the_one_built_here(cluster: Cluster, tmp_path: Path, root: Path) -> None:
    away = Pico(tmp_path / "away", root)
    here = Pico(tmp_path / "here", root)
    stages = ("raw", "cleaned", "labelled", "thinking_sft")
    away.write(
        {
            "profile": {
                "store": {"mirror": cluster.bucket(), "trusted": "any", "share_private": True},
                "cluster": cluster.settings,
                "run": {stage: {"where": "cluster"} for stage in stages},
            }
        }
    )

    environment = {**os.environ, **cluster.own}
    doit = [*cluster.network.into("a"), *DOIT, "thinking_sft"]
    subprocess.run(doit, cwd=away.path, env=environment, check=True, timeout=400)
    subprocess.run([*DOIT, "thinking_sft"], cwd=here.path, check=True, timeout=400)

    made = (away.path / "artifacts/.so8t/journal.jsonl").read_text().splitlines()
    assert [json.loads(entry)["host"][:5] for entry in made] == ["node-"] * 4
    for stage in stages:
        assert (away.folder(stage) / "manifest.json").read_bytes() == (
            here.folder(stage) / "manifest.json"
        ).read_bytes()


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
    assert (run.code, "doubled" in there.noted()[before:]) == (0, False), run.err
    assert manifests(there) == undisturbed(there, tmp_path / "alone")


def test_a_job_that_no_node_can_take_is_told_to_wait(there: There, cluster: Cluster, tmp_path: Path) -> None:
    there.edit("specs/tiny/profile.yaml", "named: {b: 1}", "named: {nobody: 1}")
    with Story(there, tmp_path) as doing:
        doing.wait("queue for 3")
        os.killpg(doing.process.pid, signal.SIGTERM)

    assert doing.process.returncode == 143
    assert (
        " s: no node has CPU: 1, nobody: 1 free; it goes on waiting (lower run.doubled.resources in profile.yaml if no "
        "node has as much)\n"
    ) in doing.said


def test_a_lost_node_is_followed_by_another(there: There, cluster: Cluster, tmp_path: Path) -> None:
    there.hold("doubled")
    with Story(there, tmp_path) as doing:
        there.wait_for("doubled")
        cluster.network.empty("b")
        there.release("doubled")
        cluster.start_node()

    assert doing.process.returncode == 0, doing.said
    assert "; trying again\n" in doing.said
    assert manifests(there) == undisturbed(there, tmp_path / "alone")


def test_a_head_that_is_started_anew_takes_what_the_orphan_made(there: There, cluster: Cluster, tmp_path: Path) -> None:
    before = there.noted().count("doubled")
    there.hold("doubled")
    with Story(there, tmp_path) as doing:
        there.wait_for("doubled")
        cluster.kill_head()
        doing.wait("does not answer")
        cluster.start_head()
        cluster.start_node()
        doing.wait("its head was started anew; trying again")
        there.release("doubled")

    assert doing.process.returncode == 0, doing.said
    assert there.noted().count("doubled") == before + 1
    assert manifests(there) == undisturbed(there, tmp_path / "alone")


def test_behind_a_pulled_cable_nobody_goes_on_building(there: There, cluster: Cluster, tmp_path: Path) -> None:
    """Ray calls the job failed while it still runs: its lease ends it before another builds."""
    before = there.noted().count("doubled")
    there.hold("doubled")
    with Story(there, tmp_path) as doing:
        there.wait_for("doubled")
        cluster.network.pull()
        cluster.start_node("a", "c")
        cluster.wait(lambda: there.noted().count("doubled") == before + 2, "another attempt", 300)
        assert jobs(cluster, "b") == []
        there.release("doubled")
    cluster.network.mend()

    assert doing.process.returncode == 0, doing.said
    assert "doubled: on node-c\n" in doing.said
    assert manifests(there) == undisturbed(there, tmp_path / "alone")
