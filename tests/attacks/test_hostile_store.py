"""Garbage, truncation and lies anywhere in the store: never a traceback, never a wrong artifact."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house import House
from tests.yard import BIG, Yard, files_of, fingerprint

JUNK = [b"", b"\x00" * 64, b"[]", b"null", b"{}", b'{"a"', b"\xff\xfe\x00", b"[" * 200_000]


def spoil_each(folder: Path, spoil: Callable[[bytes], bytes]) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            path.write_bytes(spoil(path.read_bytes()))


def replace_by_links(folder: Path) -> None:
    for path in [path for path in sorted(folder.rglob("*")) if path.is_file()]:
        path.unlink()
        path.symlink_to("/etc/hostname")


SPOILS = [
    lambda folder: spoil_each(folder, lambda data: data[:-1]),
    lambda folder: spoil_each(folder, lambda data: data[:-1] + b"\x00"),
    lambda folder: spoil_each(folder, lambda data: data + b"\x00"),
    replace_by_links,
    *[lambda folder, junk=junk: spoil_each(folder, lambda data: junk) for junk in JUNK],
]


@pytest.mark.slow
@pytest.mark.parametrize("copy_below", [1 << 20, BIG], ids=["small", "big"])
@pytest.mark.parametrize("place", ["store/blobs", "store/entries", "store"])
@pytest.mark.parametrize("spoil", SPOILS, ids=range(len(SPOILS)))
def test_a_spoilt_store_costs_a_build_and_nothing_else(tmp_path: Path, spoil, place: str, copy_below: int) -> None:
    yard = Yard(tmp_path, copy_below)
    yard.build("1")
    yard.build("2")
    spoil(yard.layout.shared / place)

    for version in "121":
        yard.ensure(version)
        assert (yard.texts(), yard.inspect(thorough=True).damage) == (files_of(version), ())


def test_an_entry_under_anothers_key_brings_nothing(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.build("1")
    yard.build("2")
    one, two = (yard.store.entry(fingerprint(version).key) for version in "12")
    one.write_bytes(two.read_bytes())

    assert yard.ensure("1") == "built"
    assert yard.texts() == files_of("1")


@pytest.mark.parametrize("path", ["../../../../../stolen", "/stolen", "..", "model/../../x", "C:\\x", "manifest.json"])
def test_an_entry_that_names_files_outside_writes_nothing_there(tmp_path: Path, path: str) -> None:
    yard = Yard(tmp_path / "deep" / "project")
    yard.build("1")
    yard.build("2")
    entry = yard.store.entry(fingerprint("1").key)
    whole = json.loads(entry.read_bytes())
    whole["files"] = [{**whole["files"][0], "path": path}]
    entry.write_text(json.dumps(whole))

    assert yard.ensure("1") == "built"
    assert yard.texts() == files_of("1")
    assert not list(tmp_path.rglob("stolen")) + list(tmp_path.rglob("x"))


def test_an_artifacts_manifest_that_names_files_outside_moves_nothing_in(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.build("1")
    (tmp_path / "mine.txt").write_text("A of 1")
    manifest = yard.folder() / "manifest.json"
    manifest.write_text(manifest.read_text("utf-8").replace("model/a.bin", "../../../mine.txt"), "utf-8")

    assert yard.inspect().damage == ("manifest.json: path '../../../mine.txt' leaves the artifact",)
    assert yard.ensure("1") == "restored"
    assert (tmp_path / "mine.txt").read_text() == "A of 1"


def test_seen_files_with_any_bit_flipped_never_hide_damage(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    yard.build("1")
    yard.inspect()
    (yard.folder() / "model/a.bin").write_bytes(b"A of X")
    seen = yard.layout.seen("thing").read_bytes()
    dice = random.Random(7)
    for _ in range(200):
        spot, bit = dice.randrange(len(seen)), 1 << dice.randrange(8)
        yard.layout.seen("thing").write_bytes(seen[:spot] + bytes([seen[spot] ^ bit]) + seen[spot + 1 :])

        assert yard.inspect().damage == (
            "model/a.bin: changed since it was built (6 bytes as before, other content)",
        )  # fmt: skip


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("hostile"))
    assert house.doit("card").code == 0
    return house


@pytest.mark.slow
def test_doit_goes_on_over_garbage_in_every_file_of_its_own(built: House) -> None:
    before = built.digests()
    shared, state = built.path / "artifacts/.so8t", built.artifact(".so8t")
    for junk in JUNK[:4]:
        for folder in (shared / "store", shared / "plans", state / "seen", state / "locks"):
            spoil_each(folder, lambda data, junk=junk: junk)
        for name in ("digests.json", "journal.jsonl"):
            (shared / name).write_bytes(junk)
        (built.artifact("doubled") / "manifest.json").write_bytes(junk)

        run = built.doit("card")

        assert (run.code, run.ran, "Traceback" in run.out + run.err) == (0, ["doubled"], False), run.err
        assert built.digests() == before
        assert built.doit("verify", "numbers", "doubled", "total", "card").code == 0


@pytest.mark.slow
def test_doit_recovers_when_store_and_artifacts_lie_together(built: House) -> None:
    before = built.digests()
    spoil_each(built.path / "artifacts/.so8t/store", lambda data: data[::-1])
    spoil_each(built.artifact("doubled"), lambda data: data[::-1])
    spoil_each(built.artifact("total"), lambda data: b"{}")

    run = built.doit("card")

    assert (run.code, run.ran) == (0, ["doubled", "total"]), run.err
    assert "Traceback" not in run.out + run.err
    assert built.digests() == before
    assert built.read("artifacts/tiny/card/card.txt") == "合計: 12\n"
