"""A stage on a cluster while things go wrong by a seeded schedule: real processes, leases, store and kills, no Ray."""

from __future__ import annotations

import os
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from so8t.store import lease
from so8t.store.cache import Store
from so8t.store.mirror import Mirror
from so8t.store.s3 import S3Objects
from tests.cluster.faults import KINDS, Fault, schedule
from tests.cluster.machines import World, world
from tests.house import House

PROFILE = """
store: {{mirror: '{mirror}', trusted: any}}
cluster: {{address: localhost}}
run: {{doubled: {{where: cluster}}}}
"""
SEEDS = range(int(os.environ.get("SO8T_FAULTS", "20")))
SLACK = 0.5  # seconds that a stopped builder may take to end


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
        assert at_once(there) < SLACK, told
    whole(Mirror(mirror), folder / "again")


def play(there: World, faults: Sequence[Fault]) -> None:
    """Nobody comes to an end before all has gone wrong; then doit is run until it says that all is well."""
    door = there.folder / "hold-doubled"
    door.touch()
    there.start_doit()
    until: list[tuple[float, str, str]] = []  # what is mended, and when
    for fault in faults:
        pid, name = seen(there, until)
        time.sleep(fault.after)
        strike(there, fault.kind, pid, name)
        if fault.kind in ("cable", "slow"):
            until.append((time.monotonic() + fault.lasting, fault.kind, name))
    door.unlink()
    for _ in range(12):
        while there.ended() is None:
            mended(there, until)
            time.sleep(0.05)
        if there.ended() == 0:
            return
        there.start_doit()
    raise AssertionError(there.said)


def strike(there: World, kind: str, pid: int, name: str) -> None:
    if kind == "driver":
        there.kill_doit()
        there.start_doit()
    elif kind in ("job", "node"):
        there.kill(pid, whole=kind == "node")
        if kind == "node":
            shutil.rmtree(there.folder / f"cache-{name}")
    elif kind == "head":
        (there.folder / "down").touch()
        time.sleep(0.5)
        there.new_head()
        (there.folder / "down").unlink()
    elif kind == "cable":
        there.lose(name)
    else:
        there.cables[name].delay = 0.05


def seen(there: World, until: list[tuple[float, str, str]]) -> tuple[int, str]:
    """Who builds now; a doit that has ended with a sentence is run again."""
    deadline = time.monotonic() + 120
    while (found := there.builder()) is None or there.cables[found[1]].pulled:
        assert time.monotonic() < deadline, there.said
        mended(there, until)
        if there.ended() is not None:
            there.start_doit()
        time.sleep(0.02)
    return found


def mended(there: World, until: list[tuple[float, str, str]]) -> None:
    for entry in [entry for entry in until if time.monotonic() >= entry[0]]:
        until.remove(entry)
        if entry[1] == "slow":
            there.cables[entry[2]].delay = 0.0
        else:
            there.mend(entry[2])


# ---- what must hold ------------------------------------------------------------------------------------------


def manifests(house: House) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in (house.path / "artifacts/tiny").glob("*/manifest.json")}


def at_once(there: World) -> float:
    """The longest time for which two built."""
    builds = [(begun, ended) for _, begun, ended in there.builds() if ended is not None]
    assert len(builds) == len(there.builds()), "somebody builds for ever"
    return max(
        (min(ended, later[1]) - later[0] for at, (_, ended) in enumerate(builds) for later in builds[at + 1 :]),
        default=0.0,
    )


def whole(mirror: Mirror, folder: Path) -> None:
    """Every result in the store has all of its files, and nobody waits for a lease."""
    from so8t.store import remote

    fs, base = remote.open_fs(mirror.url)
    keys = [path.rpartition("/")[2].removesuffix(".json") for path in fs.find(f"{base}/entries")]
    assert len(keys) == 5  # all results are offered
    for key in keys:
        manifest = mirror.manifest(key)
        assert manifest and Store(folder / "store", mirror=mirror).restore(manifest, folder / key)
    (held,) = fs.find(f"{base}/leases")
    found = S3Objects(mirror.url).read(f"leases/{held.rpartition('/')[2]}")
    assert found and lease.decode(found.data).free
