"""Trainings and sweeps on two real Ray nodes: one that dies, or is told that it will, costs steps and no byte."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.network import Cluster, There, cluster_of
from tests.cluster.story import manifests
from tests.cluster.test_ray import PROFILE, Story, jobs
from tests.house import DOIT
from tests.whole.pico import DATA, Pico
from tests.whole.pico_models import Chain, changed

pytestmark = pytest.mark.soak

UNTIL_SENT = """
import sys, time
from so8t.store.s3 import S3Objects
while S3Objects(sys.argv[1]).read(sys.argv[2]) is None:
    time.sleep(0.05)
"""
CHECKPOINTS = "home-b/cache/so8t/nodes/*/tiny/.so8t/work/adapter-*/out/training/checkpoint-*"
LEFT = """
import sys
from so8t.store import remote
fs, base = remote.open_fs(sys.argv[1] + "/checkpoints")
print(*fs.find(base))
"""


cluster = cluster_of(Cluster)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Chain:
    """The project with an adapter that this machine trained, in peace."""
    chain = Chain(tmp_path_factory.mktemp("alone") / "project", root, {})
    said = chain.doit_with(changed("adapter", "train.steps", 80), "adapter")
    assert said.code == 0, said.err
    return chain


class Away(Chain):
    """The same project without the adapter, whose doit runs beside the head and sends the training to the nodes."""

    def __init__(self, folder: Path, alone: Chain, cluster: Cluster, checkpoints: float = 0.0) -> None:
        shutil.copytree(alone.path, folder)
        shutil.rmtree(folder / "artifacts/tiny/adapter")
        shutil.rmtree(folder / "artifacts/.so8t/store")
        self.path, self.cluster, self.mirror = folder, cluster, cluster.bucket()
        self._env = {**alone.env, **cluster.own}
        store = {"mirror": self.mirror, "trusted": "any", "checkpoints": checkpoints}
        run = {"adapter": {"where": "cluster", "resources": {"named": {"b": 1}}}}
        self.write({"profile": {"store": store, "cluster": cluster.settings, "run": run}})

    def start(self, *args: str, **options: Any) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*self.cluster.network.into("a"), *DOIT, "adapter", *args], cwd=self.path, env=self.env, text=True,
            start_new_session=True, stdin=subprocess.DEVNULL, **options,
        )  # fmt: skip

    def checkpoints_left(self) -> str:
        return self.cluster.run("a", LEFT, self.mirror)


@pytest.fixture(autouse=True)
def emptied(cluster: Cluster) -> Iterator[None]:
    """Another store has another result of the same key, and nodes go on from what they have themselves."""
    yield
    for home in cluster.folder.glob("home-*"):
        shutil.rmtree(home / "cache", ignore_errors=True)


def going_on(said: str) -> int:
    """The step after which another node went on."""
    found = re.search(r"adapter: the checkpoint after step (\d+) comes from the mirror\n", said)
    assert found, said
    assert f"adapter: going on after step {found[1]}\n" in said
    return int(found[1])


def test_an_adapter_that_a_node_trained_is_the_one_trained_here(cluster: Cluster, alone: Chain, tmp_path: Path) -> None:
    away = Away(tmp_path / "away", alone, cluster)

    with Story(away, tmp_path) as doing:
        pass

    assert doing.process.returncode == 0, doing.said
    assert "adapter: on node-b\n" in doing.said
    assert away.digests("adapter") == alone.digests("adapter")


def test_a_training_whose_machine_says_that_it_ends_sends_a_last_checkpoint_and_goes_on_from_it(
    cluster: Cluster, alone: Chain, tmp_path: Path
) -> None:
    """As a spot machine does; none would have been sent for an hour."""
    away = Away(tmp_path / "away", alone, cluster, checkpoints=60.0)

    with Story(away, tmp_path) as doing:
        cluster.wait(lambda: any(cluster.folder.glob(CHECKPOINTS)), "a checkpoint", 240)
        for job in jobs(cluster, "b"):
            os.kill(job, signal.SIGTERM)
        cluster.wait(lambda: jobs(cluster, "b") == [], "the end of the job")
        shutil.rmtree(cluster.folder / "home-b/cache")  # what comes in its place has nothing

    assert doing.process.returncode == 0, doing.said
    step = going_on(doing.said)
    assert f"adapter: the checkpoint after step {step} lies in the mirror\n" in doing.said
    assert "; trying again\n" in doing.said and step < 80
    assert away.digests("adapter") == alone.digests("adapter")


def test_a_training_whose_node_dies_goes_on_elsewhere_from_its_checkpoint_in_the_store(
    cluster: Cluster, alone: Chain, tmp_path: Path
) -> None:
    away = Away(tmp_path / "away", alone, cluster, checkpoints=0.002)
    key = json.loads((alone.folder("adapter") / "manifest.json").read_bytes())["key"]
    words = [*cluster.network.into("a"), sys.executable, "-c", UNTIL_SENT, away.mirror, f"checkpoints/{key}.json"]

    with Story(away, tmp_path) as doing:
        subprocess.run(words, env=cluster.environment("a"), check=True, timeout=240)
        for job in jobs(cluster, "b"):
            os.kill(job, signal.SIGSTOP)  # until there is another node
        cluster.start_node("a", "c")
        cluster.network.empty("b")

    assert doing.process.returncode == 0, doing.said
    assert "; trying again\n" in doing.said and "adapter: on node-c\n" in doing.said
    assert going_on(doing.said) < 80
    assert away.digests("adapter") == alone.digests("adapter")
    assert away.checkpoints_left().split() == []


def test_two_who_want_the_same_result_share_one_job(cluster: Cluster, tmp_path: Path) -> None:
    """Two checkouts of one project: they share the store and nothing else."""
    mirror, doing = cluster.bucket(), []
    houses = [There(tmp_path / name, cluster) for name in ("one", "two")]
    for house in houses:
        house.write("specs/tiny/profile.yaml", PROFILE.format(mirror=mirror).replace("{named: {b: 1}}", "{CPU: 1}"))
    houses[0].hold("doubled")
    doing.append(houses[0].start())
    houses[0].wait_for("doubled")
    with Story(houses[1], tmp_path) as second:
        second.wait("doubled: goes on as job so8t-")
        houses[0].release("doubled")
    _, err = doing[0].communicate(timeout=240)

    assert (doing[0].returncode, second.process.returncode) == (0, 0), err + second.said
    assert houses[0].noted().count("doubled") == houses[0].noted().count("card") == 1
    assert manifests(houses[0]) == manifests(houses[1])


AXES = ("labelled.classifier.min_per_class=3,4", "thinking_sft.fractions.test=0.1,0.15,0.2")


def test_a_sweep_of_two_by_three_over_two_nodes_is_the_one_on_this_machine(
    cluster: Cluster, tmp_path: Path, root: Path
) -> None:
    here, away = Pico(tmp_path / "here", root), Pico(tmp_path / "away", root)
    store = {"mirror": cluster.bucket(), "trusted": "any", "share_private": True}
    run = {stage: {"where": "cluster"} for stage in DATA}
    away.write({"profile": {"store": store, "cluster": cluster.settings, "run": run}})
    sweep = [*DOIT, "sweep", "-n", "2", "tiny", *AXES, "thinking_sft"]
    environment = {**os.environ, **cluster.own}

    there = subprocess.run(
        [*cluster.network.into("a"), *sweep], cwd=away.path, env=environment, check=False, timeout=900,
        capture_output=True, text=True,
    )  # fmt: skip
    alone = subprocess.run(sweep, cwd=here.path, check=False, timeout=900, capture_output=True, text=True)

    assert (there.returncode, there.stdout) == (alone.returncode, alone.stdout), there.stderr
    found = {path.relative_to(here.path): path.read_bytes() for path in sealed(here)}
    assert len(found) == 6 * len(DATA)
    assert {path.relative_to(away.path): path.read_bytes() for path in sealed(away)} == found
    told = [json.loads(line) for line in (away.path / "artifacts/.so8t/journal.jsonl").read_text("utf-8").splitlines()]
    built = [entry for entry in told if entry["outcome"] == "built"]
    assert len(built) == len({entry["key"] for entry in built}) == 1 + 1 + 2 + 3  # 3 or 4 a class: labelled alike
    assert {entry["host"][:5] for entry in built} == {"node-"}


def sealed(pico: Pico) -> list[Path]:
    return sorted((pico.path / "artifacts").glob("[!.]*/*/manifest.json"))
