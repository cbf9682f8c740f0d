"""SIGKILL at every change that publishing makes to the disk: nothing wrong, nothing lost, nothing built twice.

Each case runs in a forked process that ends without cleaning up,
right before its n-th change or halfway through its n-th copy.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from so8t.store import cache
from tests.yard import BIG, Yard, files_of

pytestmark = pytest.mark.slow

CHANGES = ("replace", "fsync", "unlink", "rmdir", "mkdir")


def run_until(number: int, action: Callable[[], object]) -> bool:
    """Run the action in a process of its own that dies before its n-th change; False if it came to its end."""
    child = os.fork()
    if child == 0:
        left = [number]

        def deadly(change: Callable[..., object], dying: Callable[..., object]) -> Callable[..., object]:
            def call(*args: object, **options: object) -> object:
                left[0] -= 1
                if left[0] == 0:
                    dying(*args)
                    os._exit(9)
                return change(*args, **options)

            return call

        for name in CHANGES:
            setattr(os, name, deadly(getattr(os, name), lambda *args: None))
        shutil.copyfile = deadly(shutil.copyfile, copy_half)
        try:
            action()
            os._exit(0)
        finally:
            os._exit(1)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9), "the action failed by itself"
    return code == 9


def copy_half(source: Path, target: Path) -> None:
    data = source.read_bytes()
    target.write_bytes(data[: len(data) // 2])


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a killed process wrote is there without being synced; no file system at hand clones."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    monkeypatch.setattr(cache, "clone", lambda source, target: False)


def look(yard: Yard) -> None:
    """Whatever stands in the artifact's place is whole, or is not taken as good."""
    have = yard.inspect()
    if have.manifest is not None and not have.damage:
        assert yard.texts() == files_of(have.manifest.fingerprint.spec["version"])
        assert yard.inspect(thorough=True).damage == ()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("scene", "copy_below"),
    [
        ("first build", 1 << 20),
        ("rebuild", BIG),
        ("restore", BIG),
        pytest.param("rebuild", 1 << 20, marks=pytest.mark.soak),
        pytest.param("restore", 1 << 20, marks=pytest.mark.soak),
    ],
)
def test_killed_anywhere_everything_that_was_finished_is_still_to_be_had(
    tmp_path: Path, scene: str, copy_below: int
) -> None:
    start, place = tmp_path / "start", tmp_path / "place"
    yard = Yard(start, copy_below)
    start.mkdir()
    for version in {"first build": "", "rebuild": "1", "restore": "21"}[scene]:
        yard.ensure(version)
    number, killed = 0, True
    while killed:
        number += 1
        shutil.copytree(start, place)
        yard = Yard(place, copy_below)
        killed = run_until(number, lambda: Yard(place, copy_below).ensure("2"))
        look(yard)
        finished = {version for version in "12" if (place / f"sealed-{version}").exists()}
        for version in ("21", "12")[number % 2] if scene != "first build" else "2":
            how = yard.ensure(version)
            assert (how == "built") <= (version not in finished), (number, version)
            look(yard)
            assert yard.texts() == files_of(version)
        assert not (yard.layout.state / "set-aside").exists(), number
        shutil.rmtree(place)

    assert number > 20  # the hook was in the way of every change


@pytest.mark.usefixtures("quick")
def test_killed_while_bytes_are_dropped_the_artifact_counts_as_dropped(tmp_path: Path) -> None:
    from so8t.store import artifact

    number, killed = 0, True
    while killed:
        number += 1
        yard = Yard(tmp_path / str(number))
        manifest = yard.build("1")
        killed = run_until(number, lambda yard=yard, one=manifest: artifact.drop_bytes(yard.layout, "thing", one))
        have = yard.inspect()

        assert (have.damage, have.dropped or yard.texts() == files_of("1")) == ((), True)
        assert yard.ensure("1") in ("reused", "restored")
        assert yard.texts() == files_of("1")
