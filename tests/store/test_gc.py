"""What the store forgets: the longest unused first, never what is in use, never a file that another needs."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from so8t.store.gc import Sweep, collect
from tests.store.test_crash import run_until
from tests.yard import Yard, fingerprint

# each version: 6 bytes of its own, 15 that all share, 9 of its own
KEYS = {version: fingerprint(version).key for version in "1234"}


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    """Four results, used in the order 2, 3, 4, 1."""
    yard = Yard(tmp_path)
    for version in "1234":
        yard.build(version)
    for when, version in enumerate("2341"):
        os.utime(yard.store.entry(KEYS[version]), (1_000_000 + when, 1_000_000 + when))
    return yard


def swept(kept: str, removed: str, freed: int, size: int) -> Sweep:
    return Sweep(tuple(KEYS[v] for v in kept), tuple(KEYS[v] for v in removed), freed, size)


@pytest.mark.parametrize(
    ("in_use", "budget", "expected"),
    [
        ("", 75, swept("1432", "", 0, 75)),
        ("", 74, swept("143", "2", 15, 60)),
        ("", 30, swept("1", "432", 45, 30)),
        ("", 29, swept("", "1432", 75, 0)),
        ("", 0, swept("", "1432", 75, 0)),
        ("2", 0, swept("2", "143", 45, 30)),
        ("23", 45, swept("32", "14", 30, 45)),
        ("23", 60, swept("321", "4", 15, 60)),
    ],
)
def test_the_budget_goes_to_what_is_in_use_and_then_to_the_latest_used(yard: Yard, in_use, budget, expected) -> None:
    before = sorted(path for path in yard.store.root.rglob("*"))

    dry = collect(yard.store, [KEYS[v] for v in in_use], budget, dry=True)
    assert (dry, sorted(path for path in yard.store.root.rglob("*"))) == (expected, before)
    assert collect(yard.store, [KEYS[v] for v in in_use], budget) == expected
    assert sum(path.stat().st_size for path in yard.store.root.glob("blobs/*/*")) == expected.size
    assert {path.stem for path in yard.store.root.glob("entries/*")} == set(expected.kept)
    assert collect(yard.store, [KEYS[v] for v in in_use], budget) == Sweep(expected.kept, (), 0, expected.size)


def test_what_stays_can_be_restored_and_the_rest_is_built(yard: Yard) -> None:
    yard.ensure("2")
    collect(yard.store, [KEYS["2"]], 45)

    assert yard.ensure("1") == "restored"
    assert yard.ensure("2") == "restored"
    assert yard.ensure("3") == "built"


def test_a_restore_counts_as_use(yard: Yard) -> None:
    yard.ensure("2")

    assert collect(yard.store, [], 30, dry=True).kept == (KEYS["2"],)


def test_killed_anywhere_it_leaves_a_store_that_still_works(tmp_path: Path) -> None:
    number, killed = 0, True
    while killed:
        number += 1
        yard = Yard(tmp_path / str(number))
        for version in "12":
            yard.build(version)
        killed = run_until(number, lambda yard=yard: collect(yard.store, [KEYS["2"]], 0))
        yard.ensure("1")
        assert (yard.inspect(thorough=True).damage, yard.ensure("2")) == ((), "restored")
        assert collect(yard.store, [], 0).size == 0
        assert yard.blobs() == []


def test_unreadable_entries_and_abandoned_copies_go_and_a_copy_under_way_stays(yard: Yard) -> None:
    (yard.store.root / "entries/garbage.json").write_bytes(b"\x00")
    folder = next(yard.store.root.glob("blobs/*"))
    (folder / "abc.7.part").write_bytes(b"old")
    os.utime(folder / "abc.7.part", (time.time() - 100_000,) * 2)
    (folder / "def.8.part").write_bytes(b"new")
    (folder / "orphan").write_bytes(b"of no entry")

    sweep = collect(yard.store, [], 10**9)

    assert (sweep.removed, sweep.freed) == (("garbage",), 14)
    assert [path.name for path in yard.store.root.glob("blobs/*/*.part")] == ["def.8.part"]


def test_an_empty_store_is_swept(tmp_path: Path) -> None:
    assert collect(Yard(tmp_path).store, [], 0) == Sweep((), (), 0, 0)
