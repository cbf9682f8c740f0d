"""An artifact on the disk: what is taken as sound, what is named as damage, what is remembered."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from so8t.errors import StageError
from so8t.store import artifact
from so8t.store.artifact import Artifact, Seen
from so8t.store.digest import is_settled, signature
from so8t.store.publish import publish
from tests.yard import Yard, files_of


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    yard = Yard(tmp_path)
    yard.build("1")
    while not is_settled(signature(yard.folder() / "text.txt"), time.time_ns()):
        pass
    yard.inspect()
    return yard


def rot(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1] + b"?")


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"?")


def rot_and_hide(path: Path) -> None:
    stat = path.stat()
    rot(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


OTHER = "model/a.bin: changed since it was built (6 bytes as before, other content)"


@pytest.mark.parametrize("lost", [False, True], ids=["remembered", "no memory"])
@pytest.mark.parametrize(
    ("damage", "name", "sentence"),
    [
        (rot, "model/a.bin", OTHER),
        (rot_and_hide, "model/a.bin", OTHER),
        (grow, "model/a.bin", "model/a.bin: changed since it was built (6 -> 7 bytes)"),
        (Path.unlink, "model/a.bin", "model/a.bin: missing"),
        (Path.unlink, "manifest.json", "manifest.json: missing"),
        (
            grow,
            "manifest.json",
            "manifest.json: not a manifest: JSONDecodeError: Extra data: line 33 column 1 (char 732)",
        ),
        (become_a_folder, "manifest.json", "manifest.json: a folder stands in its place"),
    ],
)
def test_every_damage_is_named(yard: Yard, damage, name: str, sentence: str, lost: bool) -> None:
    damage(yard.folder() / name)
    if lost and damage is not Path.unlink:
        yard.layout.seen("thing").unlink()

    assert yard.inspect().damage == (sentence,)
    assert yard.inspect(thorough=True).damage == (sentence,)


def test_a_folder_in_the_place_of_a_file_is_damage(yard: Yard) -> None:
    become_a_folder(yard.folder() / "text.txt")

    (sentence,) = yard.inspect().damage
    assert sentence.startswith("text.txt: changed since it was built (9 -> ")


def test_damage_that_the_file_system_does_not_show_is_found_by_a_thorough_look(yard: Yard) -> None:
    path = yard.folder() / "model/a.bin"
    rot(path)
    seen = yard.seen()
    seen["files"]["model/a.bin"] = signature(path)
    yard.layout.seen("thing").write_text(json.dumps(seen))

    assert yard.inspect().damage == ()
    assert yard.inspect(thorough=True).damage == (OTHER,)


def test_a_manifest_edited_to_fit_an_edited_file_is_not_believed(yard: Yard) -> None:
    manifest = yard.folder() / "manifest.json"
    manifest.write_text(manifest.read_text("utf-8").replace('"size": 6', '"size": 7'), "utf-8")
    grow(yard.folder() / "model/a.bin")

    assert yard.inspect() == Artifact(damage=("manifest.json: changed since it was built",))


@pytest.mark.parametrize(
    "junk",
    [None, b"", b"{", b"[]", b"3", b"\xff\xfe", b'{"manifest": 1}', b'{"manifest": "x", "files": [], "dropped": true}',
     b'{"manifest": "x", "files": {"a": [1]}, "dropped": false}', b"[" * 200_000],
)  # fmt: skip
def test_without_a_usable_memory_everything_is_hashed_and_found_sound(yard: Yard, junk: bytes | None) -> None:
    path = yard.layout.seen("thing")
    before = yard.seen()
    path.unlink() if junk is None else path.write_bytes(junk)

    assert yard.inspect() == Artifact(yard.inspect().manifest)
    assert yard.seen() == before


def test_a_memory_of_an_earlier_artifact_is_not_used(yard: Yard) -> None:
    seen = yard.seen()
    yard.build("2")
    rot(yard.folder() / "model/b.bin")
    seen["files"]["model/b.bin"] = signature(yard.folder() / "model/b.bin")
    yard.layout.seen("thing").write_text(json.dumps(seen))

    assert yard.inspect().damage == (
        "model/b.bin: changed since it was built (15 bytes as before, other content)",
    )  # fmt: skip


def test_a_touched_file_is_looked_at_once_and_remembered(yard: Yard) -> None:
    os.utime(yard.folder() / "text.txt", ns=(10**18, 10**18))

    while yard.seen()["files"].get("text.txt", [0, 0])[1] != 10**18:  # once the change is older than a tick
        assert yard.inspect().damage == ()


def test_an_edit_within_a_tick_of_the_last_look_is_seen(yard: Yard) -> None:
    path = yard.folder() / "model/a.bin"
    for _ in range(100):
        path.write_bytes(b"A of 1")
        assert yard.inspect().damage == ()
        path.write_bytes(b"A of 2")
        assert yard.inspect().damage == (OTHER,)


def test_a_file_written_after_it_was_sealed_is_not_taken_for_what_was_sealed(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    manifest = yard.seal("1")
    rot(yard.out("1") / "model/a.bin")  # by a thread that outlived the build
    os.utime(yard.out("1") / "model/a.bin")
    publish(yard.layout, yard.out("1"), manifest, yard.store)

    assert yard.inspect().damage == (OTHER,)


def test_a_garbage_entry_in_the_store_does_not_speak_against_a_sound_artifact(yard: Yard) -> None:
    yard.layout.seen("thing").unlink()
    (entry,) = yard.store.root.glob("entries/*.json")
    entry.write_bytes(b"garbage")

    assert yard.inspect().damage == ()


def test_dropped_bytes_leave_a_manifest_that_stands_for_them(yard: Yard) -> None:
    manifest = yard.inspect().manifest
    artifact.drop_bytes(yard.layout, "thing", manifest)

    assert yard.inspect() == yard.inspect(thorough=True) == Artifact(manifest, dropped=True)
    assert yard.texts() == {}
    yard.layout.seen("thing").unlink()
    assert yard.inspect().damage == ("model/a.bin: missing", "model/b.bin: missing", "text.txt: missing")


def test_bytes_are_not_dropped_when_that_cannot_be_remembered(yard: Yard) -> None:
    manifest = yard.inspect().manifest
    yard.layout.seen("thing").unlink()
    yard.layout.seen("thing").parent.rmdir()
    yard.layout.seen("thing").parent.touch()  # a file where the folder should be

    with pytest.raises(OSError, match="seen"):
        artifact.drop_bytes(yard.layout, "thing", manifest)
    assert yard.texts() == files_of("1")


def test_what_was_never_built_is_neither_there_nor_damaged(tmp_path: Path) -> None:
    yard = Yard(tmp_path)
    assert yard.inspect() == Artifact()
    yard.folder().parent.mkdir(parents=True)
    yard.folder().write_text("a file in its place")
    assert yard.inspect() == Artifact()
    assert artifact.read_seen(yard.layout, "thing") is None


def test_seen_is_read_as_it_was_written(yard: Yard) -> None:
    seen = Seen("m" * 64, {"日本/語": (1, 2, 3, 4)}, dropped=True)
    artifact.write_seen(yard.layout, "thing", seen)

    assert artifact.read_seen(yard.layout, "thing") == seen


def test_the_stage_that_still_writes_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    yard = Yard(tmp_path)
    yard.write("1")
    from so8t.store import publish as room

    def hash_and_write(out: Path, path: str, *rest: object) -> object:
        file = real(out, path, *rest)
        if path == "text.txt":
            grow(out / "model/a.bin")
        return file

    real = room._hash
    monkeypatch.setattr(room, "_hash", hash_and_write)
    with pytest.raises(StageError) as caught:
        yard.seal("1")
    assert str(caught.value) == "thing: model/a.bin was still being written after the build had ended"
