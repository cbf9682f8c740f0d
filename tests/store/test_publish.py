"""Publishing and the store: promises kept, nothing lost, nothing shared, nothing unverified."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from so8t.errors import StageError
from so8t.store.cache import Store
from so8t.store.publish import displace, leftover, seal
from tests.yard import BIG, Yard, files_of, fingerprint

SIZES = pytest.mark.parametrize(("copy_below", "precious"), [(1 << 20, False), (BIG, False), (BIG, True)])


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


# ---- the seal ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "gives", "message"),
    [
        (["a.txt"], ["a.txt", "b.txt"], "thing promised b.txt and did not write it"),
        (["a.txt"], ["a.txt", "model/"], "thing promised model/ and did not write it"),
        (["a.txt", "b.txt"], ["a.txt"], "thing wrote b.txt, which it does not declare in gives"),
        (["a.txt", "model/x"], ["a.txt", "mod"], "thing promised mod and did not write it"),
        (["modelx", "model/x"], ["model/"], "thing wrote modelx, which it does not declare in gives"),
        (["a:b"], ["a:b"], "thing wrote 'a:b', a name that not every system can hold (no colon, no backslash)"),
        (["d/a\\b"], ["d/"], "thing wrote 'd/a\\\\b', a name that not every system can hold (no colon, no backslash)"),
        (
            ["d/\udcff"],
            ["d/"],
            "thing wrote 'd/\\udcff', a name that not every system can hold (no colon, no backslash)",
        ),
    ],
)
def test_a_broken_promise_is_named_and_nothing_is_sealed(yard: Yard, files, gives, message: str) -> None:
    out = yard.write("1", dict.fromkeys(files, "x"))

    with pytest.raises(StageError) as caught:
        seal(out, fingerprint("1"), gives)

    assert str(caught.value) == message
    assert not (out / "manifest.json").exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.symlink_to("text.txt"), "model/odd is a link; an artifact holds files only"),
        (lambda path: path.symlink_to("/"), "model/odd is a link; an artifact holds files only"),
        (lambda path: path.symlink_to("nowhere"), "model/odd is a link; an artifact holds files only"),
        (os.mkfifo, "model/odd is not a file; an artifact holds files only"),
    ],
)
def test_links_and_pipes_are_refused(yard: Yard, make, message: str) -> None:
    make(yard.write("1") / "model/odd")

    with pytest.raises(StageError) as caught:
        yard.seal("1")

    assert str(caught.value) == message


def test_files_that_leave_the_house_carry_a_sha256(yard: Yard) -> None:
    out = yard.write("1", {"model/x.gguf": "abc", "text.txt": "abc"})

    sums = {file.path: file.sha256 for file in seal(out, fingerprint("1"), ("model/", "text.txt"), ("*.gguf",)).files}

    assert sums == {
        "model/x.gguf": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "text.txt": None,
    }


def test_a_read_only_file_is_published_and_replaced_like_any_other(yard: Yard) -> None:
    (yard.write("1") / "text.txt").chmod(0o444)
    yard.build("1")
    yard.build("2")

    assert yard.texts() == files_of("2")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
@pytest.mark.parametrize(("folder", "file"), [(0o755, 0o644), (0o750, 0o640), (0o700, 0o600)])
def test_who_may_read_the_folder_may_read_what_a_library_wrote_for_its_owner_alone(
    yard: Yard, folder: int, file: int
) -> None:
    out = yard.write("1", {"text.txt": "x"})
    (out / "text.txt").chmod(0o600)
    out.chmod(folder)

    seal(out, fingerprint("1"), ["text.txt"])

    assert (out / "text.txt").stat().st_mode & 0o777 == file


# ---- the work folder -----------------------------------------------------------------------------------------


def test_a_sealed_leftover_is_found_by_its_key_alone(yard: Yard) -> None:
    manifest, out = yard.seal("1"), yard.out("1")

    assert leftover(out, manifest.key) == manifest
    assert leftover(out, fingerprint("2").key) is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda out: (out / "text.txt").unlink(),
        lambda out: (out / "text.txt").write_text("x"),
        lambda out: (out / "text2.txt").write_text("one too many"),
        lambda out: (out / "manifest.json").unlink(),
        lambda out: (out / "manifest.json").write_text("{"),
        lambda out: ((out / "text.txt").unlink(), (out / "text.txt").symlink_to(out / "model/a.bin")),
    ],
)
def test_a_spoilt_leftover_is_none(yard: Yard, spoil) -> None:
    manifest, out = yard.seal("1"), yard.out("1")
    spoil(out)

    assert leftover(out, manifest.key) is None


# ---- A -> B -> A ---------------------------------------------------------------------------------------------


@SIZES
def test_there_and_back_again_restores(tmp_path: Path, copy_below: int, precious: bool) -> None:
    yard = Yard(tmp_path, copy_below)
    first = yard.build("1", precious=precious)
    manifest = (yard.folder() / "manifest.json").read_bytes()
    yard.build("2", precious=precious)
    assert yard.texts() == files_of("2")

    for version in "1212":
        assert yard.ensure(version) == "restored"
        assert (yard.texts(), yard.inspect(thorough=True).damage) == (files_of(version), ())
    yard.ensure("1")
    assert (yard.folder() / "manifest.json").read_bytes() == manifest == first.encode()


@SIZES
def test_editing_an_artifact_in_place_never_changes_a_blob(tmp_path: Path, copy_below: int, precious: bool) -> None:
    yard = Yard(tmp_path, copy_below)
    yard.build("1", precious=precious)
    yard.build("2", precious=precious)
    yard.ensure("1")
    before = yard.blobs()
    for path in yard.folder().rglob("*"):
        if path.is_file():
            with path.open("r+b") as file:
                file.write(b"vandal")

    assert yard.blobs() == before
    assert {path.stat().st_nlink for path in yard.store.root.rglob("*") if path.is_file()} == {1}


def test_big_files_are_moved_not_copied(tmp_path: Path) -> None:
    yard = Yard(tmp_path, BIG)
    yard.build("1")
    inode = (yard.folder() / "model/a.bin").stat().st_ino
    assert yard.blobs() == []
    yard.build("2")
    assert yard.blobs() == ["A of 1", "the same in all", "本文 1\n"]
    yard.ensure("1")

    assert (yard.folder() / "model/a.bin").stat().st_ino == inode
    assert yard.blobs() == ["A of 2", "the same in all", "本文 2\n"]


def test_a_damaged_blob_is_dropped_and_another_holder_used(tmp_path: Path) -> None:
    tiny, other = Yard(tmp_path), Yard(tmp_path, profile="other")
    manifest = tiny.build("1")
    assert other.ensure("1") == "restored"
    tiny.build("2")
    for blob in tiny.store.root.glob("blobs/*/*"):
        blob.write_bytes(b"x" * blob.stat().st_size)

    assert tiny.ensure("1") == "restored"
    assert tiny.texts() == files_of("1")
    assert all(tiny.store.blob(file.blake3).read_bytes() != b"x" * file.size for file in manifest.files)


@pytest.mark.parametrize("copy_below", [1 << 20, BIG])
@pytest.mark.parametrize("junk", [b"", b"x", b"A of X"])
def test_what_is_nowhere_sound_is_built_again(tmp_path: Path, copy_below: int, junk: bytes) -> None:
    yard = Yard(tmp_path, copy_below)
    for version in "12":
        yard.build(version)
    digest = next(file.blake3 for file in yard.store.find(fingerprint("1").key).files if file.path == "model/a.bin")
    yard.store.blob(digest).write_bytes(junk)

    assert yard.ensure("1") == "built"
    assert (yard.texts(), yard.inspect(thorough=True).damage) == (files_of("1"), ())
    yard.build("2")
    assert yard.store.blob(digest).read_bytes() == b"A of 1"


def test_a_blob_cut_short_by_a_power_cut_is_mended_by_the_next_artifact_that_has_it(yard: Yard) -> None:
    manifest = yard.build("1")
    for blob in yard.store.root.glob("blobs/*/*"):
        blob.write_bytes(b"")
    yard.store.keep(yard.folder(), manifest)

    assert yard.blobs() == ["A of 1", "the same in all", "本文 1\n"]


def test_a_displaced_artifact_mends_the_rotten_blobs_of_its_files(yard: Yard) -> None:
    yard.build("1")
    for blob in yard.store.root.glob("blobs/*/*"):
        blob.write_bytes(b"x" * blob.stat().st_size)
    displace(yard.layout, "thing", yard.store)

    assert yard.blobs() == ["A of 1", "the same in all", "本文 1\n"]


def test_what_an_earlier_attempt_left_in_a_half_restored_folder_is_not_published(yard: Yard) -> None:
    yard.build("1")
    yard.build("2")
    half = yard.out("1").with_name("restored")
    half.mkdir(parents=True)
    (half / "model-00003-of-00003.bin").write_text("from a manifest of the same key with other files")
    (half / "text.txt").write_text("half")

    assert yard.ensure("1") == "restored"
    assert yard.texts() == files_of("1")


# ---- what was in the way -------------------------------------------------------------------------------------


def test_files_that_were_not_the_artifacts_own_are_set_aside_and_none_overwrites_another(yard: Yard) -> None:
    for note in ("一", "二"):
        yard.build("1")
        (yard.folder() / "text.txt").write_text(f"edited {note}")
        (yard.folder() / "model/note.md").write_text(note)
        aside = displace(yard.layout, "thing", yard.store)

    place = yard.layout.state / "set-aside/thing"
    assert [path.name for path in aside] == ["2-model__note.md", "2-text.txt"]
    assert {path.name: path.read_text() for path in place.iterdir()} == {
        "model__note.md": "一",
        "text.txt": "edited 一",
        "2-model__note.md": "二",
        "2-text.txt": "edited 二",
    }
    assert not yard.folder().exists()


@pytest.mark.parametrize("target", ["folder", "file", "nothing"])
def test_a_link_in_the_place_of_an_artifact_is_set_aside_and_never_followed(yard: Yard, tmp_path: Path, target) -> None:
    mine = tmp_path / "mine"
    if target == "folder":
        mine.mkdir()
        (mine / "photo.jpg").write_text("dear")
    elif target == "file":
        mine.write_text("dear")
    yard.folder().parent.mkdir(parents=True)
    yard.folder().symlink_to(mine)

    yard.build("1")

    assert yard.texts() == files_of("1")
    assert (yard.layout.state / "set-aside/thing/thing").is_symlink()
    assert target != "folder" or (mine / "photo.jpg").read_text() == "dear"


def test_links_inside_an_artifact_are_set_aside_as_links(yard: Yard, tmp_path: Path) -> None:
    yard.build("1")
    mine = tmp_path / "mine.bin"
    mine.write_text("A of 1")  # the right content in the wrong place
    (yard.folder() / "model/a.bin").unlink()
    (yard.folder() / "model/a.bin").symlink_to(mine)
    (yard.folder() / "away").symlink_to(tmp_path)

    yard.build("2")

    assert mine.read_text() == "A of 1"
    assert not any(path.is_symlink() for path in yard.store.root.rglob("*"))
    assert sorted(path.name for path in (yard.layout.state / "set-aside/thing").iterdir()) == ["away", "model__a.bin"]


def test_a_file_in_the_place_of_an_artifact_is_set_aside(yard: Yard) -> None:
    yard.folder().parent.mkdir(parents=True)
    yard.folder().write_text("mine")

    yard.build("1")

    assert (yard.layout.state / "set-aside/thing/thing").read_text() == "mine"


def test_forgetting_an_entry_keeps_the_files_that_another_one_has(yard: Yard) -> None:
    first = yard.build("1")
    yard.build("2")
    yard.store.forget_files(first)

    assert yard.blobs() == ["A of 2", "the same in all", "本文 2\n"]


def test_a_profile_on_another_disk_gives_to_the_store_and_takes_from_it(tmp_path: Path) -> None:
    script = (
        "import os; from pathlib import Path; from tests.yard import BIG, Yard, files_of;"
        "yard = Yard(Path.cwd(), BIG); yard.folder().parent.mkdir(parents=True);"
        "assert os.system('mount -t tmpfs none artifacts/tiny') == 0;"
        "yard.build('1'); yard.build('2'); print(yard.blobs() , yard.ensure('1'), yard.texts() == files_of('1'))"
    )
    ran = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])},
    )  # fmt: skip

    assert ran.stdout == "['A of 1', 'the same in all', '本文 1\\n'] restored True\n", ran.stderr


def test_an_unknown_key_is_not_found(yard: Yard) -> None:
    assert yard.store.find("0" * 64) is None
    assert Store(yard.layout.artifacts).find(fingerprint("1").key) is None
