"""A stage on a cluster while things go wrong by a seeded schedule: real processes, leases, store and kills, no Ray."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from so8t.store.mirror import Mirror
from tests.cluster.faults import KINDS, Fault, schedule
from tests.cluster.machines import world
from tests.cluster.story import SLACK, at_once, manifests, play, whole
from tests.house import House

PROFILE = """
store: {{mirror: '{mirror}', trusted: any}}
cluster: {{address: localhost}}
run: {{doubled: {{where: cluster}}}}
"""
SEEDS = range(int(os.environ.get("SO8T_FAULTS", "20")))


def test_a_seed_draws_the_same_faults_each_time_and_all_kinds_occur() -> None:
    assert schedule(4) == schedule(4) != schedule(5)
    drawn = Counter(fault.kind for seed in range(20) for fault in schedule(seed))
    assert set(drawn) == set(KINDS) and min(drawn.values()) >= 3


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("world")


@pytest.mark.slow
def test_a_killed_doit_and_a_killed_job_change_nothing(
    built: House, place: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    undergone(built, place, s3, monkeypatch, (Fault("driver", 0.0, 0.0), Fault("job", 0.0, 0.0)))


@pytest.mark.soak
@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_goes_wrong_the_result_is_the_one_of_this_machine_alone(
    built: House, place: Path, s3: str, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    undergone(built, place, s3, monkeypatch, schedule(seed))


@pytest.mark.soak
def test_a_result_that_stays_in_the_store_comes_when_it_is_read_here_and_goes_again(
    built: House, place: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOUSE_LOG", str(place / "log.txt"))
    house = built.copy(place / "project")
    house.write("specs/tiny/profile.yaml", PROFILE.format(mirror=s3) + "retain: {doubled: manifest}\n")
    with world(place, os.environ["AWS_ENDPOINT_URL"]) as there:
        there.start_doit()
        assert there.wait() == 0, there.said
        assert manifests(house) == manifests(built)
        assert [path.name for path in house.artifact("doubled").rglob("*") if path.is_file()] == ["manifest.json"]
        assert house.why("doubled")[0].endswith(" (its files stay in the mirror: retain is manifest)")
        assert house.doit("verify", "doubled").out == "doubled: its files stay in the mirror, nothing to hash\n"

        house.write("specs/tiny/total.yaml", "cap: 7\n")
        there.start_doit()
        assert there.wait() == 0, there.said
        assert house.read("artifacts/tiny/card/card.txt") == "合計: 7\n"
        assert [path.name for path in house.artifact("doubled").rglob("*") if path.is_file()] == ["manifest.json"]
        assert len(there.builds()) == 1


def undergone(
    alone: House, folder: Path, mirror: str, monkeypatch: pytest.MonkeyPatch, faults: Sequence[Fault]
) -> None:
    monkeypatch.setenv("HOUSE_LOG", str(folder / "log.txt"))
    house = alone.copy(folder / "project")
    house.write("specs/tiny/profile.yaml", PROFILE.format(mirror=mirror))
    with world(folder, os.environ["AWS_ENDPOINT_URL"]) as there:
        play(there, faults)
        told = f"{faults}\n{there.said}"

        assert manifests(house) == manifests(alone), told
        assert at_once(there.builds()) < SLACK, told
    whole(Mirror(mirror), folder / "again")
