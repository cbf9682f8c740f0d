"""Two real Ray nodes while things go wrong by a seeded schedule: the same schedules and claims as without Ray."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.cluster.faults import schedule
from tests.cluster.network import There, cluster_of, project_of
from tests.cluster.nodes import Watched, nodes
from tests.cluster.story import SLACK, at_once, manifests, play
from tests.cluster.test_ray import undisturbed

pytestmark = pytest.mark.soak

PROFILE = """
store: {{mirror: '{mirror}', trusted: any}}
cluster: {{address: 10.77.0.1, python: PYTHON}}
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


cluster, there = cluster_of(Watched), project_of(PROFILE)


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_the_result_is_the_one_of_this_machine_alone(
    there: There, cluster: Watched, tmp_path: Path, seed: int
) -> None:
    faults = schedule(seed)
    there.edit("specs/tiny/profile.yaml", "PYTHON", str(cluster.python))
    with nodes(cluster, there, tmp_path) as world:
        play(world, faults)
        told = f"{faults}\n{world.said}"

        assert manifests(there) == undisturbed(there, tmp_path / "alone"), told
        assert at_once(world.builds()) < SLACK, told
        assert cluster.run("a", WHOLE, there.mirror, str(tmp_path / "again")) == "whole\n", told
