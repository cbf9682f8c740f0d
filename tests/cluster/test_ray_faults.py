"""Two real Ray nodes while things go wrong by a seeded schedule: the same schedules and claims as without Ray."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.faults import schedule
from tests.cluster.network import project, started
from tests.cluster.nodes import Watched, nodes
from tests.cluster.story import SLACK, at_once, manifests, play
from tests.cluster.test_ray import undisturbed

pytestmark = pytest.mark.soak

PROFILE = """
store: {{mirror: '{mirror}', trusted: any}}
cluster: {{address: 10.77.0.1, python: '{python}'}}
run: {{doubled: {{where: cluster, resources: {{named: {{b: 1}}}}}}}}
"""
SEEDS = range(int(os.environ.get("SO8T_FAULTS", "5")))
WHOLE = """
import sys
from pathlib import Path
from so8t.store.mirror import Mirror
from tests.cluster.story import whole
whole(Mirror(sys.argv[1]), Path(sys.argv[2]))
print("whole")
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("cluster")
    with started(Watched(folder, folder / "log.txt")) as cluster:
        yield cluster


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_the_result_is_the_one_of_this_machine_alone(
    cluster: Watched, tmp_path: Path, seed: int
) -> None:
    faults = schedule(seed)
    profile = PROFILE.replace("{python}", str(cluster.python))
    with project(cluster, tmp_path / "project", profile) as house, nodes(cluster, house, tmp_path) as there:
        play(there, faults)
        told = f"{faults}\n{there.said}"

        assert manifests(house) == undisturbed(house, tmp_path / "alone"), told
        assert at_once(there.builds()) < SLACK, told
        assert cluster.run("a", WHOLE, house.mirror, str(tmp_path / "again")) == "whole\n", told
