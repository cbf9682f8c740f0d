"""Large files to and from S3: in parts and bounded memory, and what a kill leaves is cleared away."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest

from so8t.store import blobs, remote, s3, transfers, uploads
from so8t.store.digest import blake3_of
from so8t.store.encryption import Encryption, new_identity
from so8t.store.manifest import File
from so8t.store.objects import MirrorError

ROOT = Path(__file__).parents[2]
MEBI = 1 << 20


def made(folder: Path, name: str, size: int, seed: int = 0) -> File:
    folder.mkdir(parents=True, exist_ok=True)
    block = random.Random(seed).randbytes(MEBI)
    with (folder / name).open("wb") as out:
        for _ in range(size // MEBI):
            out.write(block)
        out.write(block[: size % MEBI])
    return File(name, size, blake3_of(folder / name))


def dangling(url: str) -> list[str]:
    fs, base = remote.open_fs(url)
    return sorted(upload["Key"].rsplit("/", 1)[1] for upload in fs.list_multipart_uploads(base.split("/")[0]))


def test_large_and_small_files_go_there_and_come_back(tmp_path: Path, s3: str) -> None:
    sizes = {"large": 17 * MEBI, "small": 3, "empty": 0, "piece": MEBI}
    files = [made(tmp_path / "a", name, size, seed) for seed, (name, size) in enumerate(sizes.items())]

    blobs.send(s3, tmp_path / "notes", tmp_path / "a", files)
    (tmp_path / "b").mkdir()
    blobs.fetch(s3, [(file, tmp_path / "b" / file.path) for file in files])

    assert [blake3_of(tmp_path / "b" / file.path) for file in files] == [file.blake3 for file in files]
    assert dangling(s3) == []
    assert list((tmp_path / "notes").iterdir()) == []


def test_encrypted_they_do_so_too_and_lie_beside_no_plain_ones(tmp_path: Path, s3: str) -> None:
    ours = Encryption((new_identity(tmp_path / "ours.age"),), tmp_path / "ours.age")
    files = [made(tmp_path / "a", name, size) for name, size in (("large", 17 * MEBI), ("small", 3))]
    blobs.agree(s3, ours)

    blobs.send(s3, tmp_path / "notes", tmp_path / "a", files, ours)
    (tmp_path / "a" / "large").unlink()
    blobs.send(s3, tmp_path / "notes", tmp_path / "a", files, ours)  # it is there whole
    (tmp_path / "b").mkdir()
    blobs.fetch(s3, [(file, tmp_path / "b" / file.path) for file in files], ours)

    assert [blake3_of(tmp_path / "b" / file.path) for file in files] == [file.blake3 for file in files]
    assert (dangling(s3), list((tmp_path / "notes").iterdir())) == ([], [])
    with pytest.raises(MirrorError, match="its files are encrypted"):
        blobs.agree(s3, None)
    remote.objects(s3).remove("encrypted.txt")
    with pytest.raises(MirrorError, match="its files are not encrypted"):
        blobs.agree(s3, ours)


def test_what_is_there_is_not_sent_again(tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [made(tmp_path, "a", 5)]
    blobs.send(s3, None, tmp_path, files)
    (tmp_path / "a").unlink()

    blobs.send(s3, None, tmp_path, files)


def test_parts_are_small_and_never_more_than_s3_takes() -> None:
    assert s3.pieces(17 * MEBI) == {"chunksize": 8 * MEBI, "max_concurrency": 2}
    assert s3.pieces(400 << 30) == {"chunksize": 42_949_673, "max_concurrency": 2}


def test_what_a_dead_upload_of_this_checkout_left_is_cleared_and_nothing_that_lives(
    tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "OLD", timedelta(days=99_999))  # moto says of every upload that it began in 2010
    fs, base = remote.open_fs(s3)
    bucket, notes = base.split("/")[0], tmp_path / "notes"
    for name in ("dead", "alive", "stranger"):
        fs.call_s3("create_multipart_upload", Bucket=bucket, Key=f"so8t/blobs/{name}")
    with suppress(SystemExit), uploads.noted(notes, "so8t/blobs/dead"):
        raise SystemExit  # and its note stays

    with uploads.noted(notes, "so8t/blobs/alive"):
        assert uploads.clear(fs, bucket, "so8t/blobs/", notes) == ["so8t/blobs/dead"]
    assert dangling(s3) == ["alive", "stranger"]
    assert list(notes.iterdir()) == []


@pytest.mark.soak
def test_an_upload_that_was_killed_leaves_nothing_once_the_next_has_run(
    tmp_path: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed when a part has arrived; the object is not there, its parts are, and the next upload of anything large
    clears them away, but not those of somebody who is alive, or whom nobody here knows."""
    monkeypatch.setattr(uploads, "OLD", timedelta(days=99_999))  # moto says of every upload that it began in 2010
    large, other = made(tmp_path, "large", 24 * MEBI), made(tmp_path, "other", 16 * MEBI, 1)
    script = (
        "import sys, time; from pathlib import Path\n"
        "from so8t.store import blobs, running; from so8t.store.manifest import File\n"
        "def tell(unit, done, total, part):\n"
        "    if done: print('part', flush=True); time.sleep(60)\n"
        "running.tell = tell\n"
        "name, size, digest = sys.argv[3:]\n"
        "blobs.send(sys.argv[1], Path(sys.argv[2], 'notes'), Path(sys.argv[2]), [File(name, int(size), digest)])\n"
    )
    command = [sys.executable, "-c", script, s3, str(tmp_path), large.path, str(large.size), large.blake3]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as sender:
        assert sender.stdout and sender.stdout.readline() == b"part\n"
        sender.kill()
        sender.wait()
    fs, base = remote.open_fs(s3)
    bucket = base.split("/")[0]
    fs.call_s3("create_multipart_upload", Bucket=bucket, Key="so8t/blobs/ab/stranger")
    with uploads.noted(tmp_path / "notes", "so8t/blobs/cd/alive"):
        fs.call_s3("create_multipart_upload", Bucket=bucket, Key="so8t/blobs/cd/alive")
        assert dangling(s3) == sorted(["alive", large.blake3, "stranger"])
        assert not fs.exists(f"{base}/blobs/{large.blake3[:2]}/{large.blake3}")

        blobs.send(s3, tmp_path / "notes", tmp_path, [other])
        assert dangling(s3) == ["alive", "stranger"]


def test_what_others_left_is_cleared_when_it_is_a_day_old(tmp_path: Path, s3: str) -> None:
    """Moto says of every upload that it began in 2010."""
    fs, base = remote.open_fs(s3)
    bucket = base.split("/")[0]
    fs.call_s3("create_multipart_upload", Bucket=bucket, Key="so8t/blobs/ab/stranger")
    fs.call_s3("create_multipart_upload", Bucket=bucket, Key="somebody/elses")

    assert uploads.clear(fs, bucket, "so8t/blobs/", tmp_path) == ["so8t/blobs/ab/stranger"]
    assert dangling(s3) == ["elses"]


def test_a_transfer_that_broke_off_in_its_middle_begins_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "_PAUSE", 0.0)
    turns = []

    def move(item: str, told) -> None:
        turns.append(item)
        told(10)
        if len(turns) < 3:
            raise ConnectionResetError("the store hung up")

    transfers.each(move, ["a"], 10, "upload")
    assert turns == ["a", "a", "a"]


@pytest.mark.parametrize("error", [PermissionError("no"), MirrorError("other content"), OSError(28, "No space left")])
def test_one_that_will_fail_again_is_not_repeated(error: Exception) -> None:
    turns = []

    def move(item: str, told) -> None:
        turns.append(item)
        told(10)
        raise error

    with pytest.raises(type(error)):
        transfers.each(move, ["a"], 10, "upload")
    assert turns == ["a"]


def test_the_first_error_ends_the_others_at_their_next_piece() -> None:
    begun, ended = threading.Barrier(2), []

    def move(item: str, told) -> None:
        begun.wait(5)
        if item == "bad":
            raise PermissionError("no")
        with pytest.raises(transfers.Stopped):
            while True:
                told(1)
                time.sleep(0.001)
        ended.append(item)

    with pytest.raises(PermissionError):
        transfers.each(move, ["bad", "long"], 2, "upload")
    assert ended == ["long"]


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="the most that a process ever held is read from /proc")
def test_a_large_file_goes_through_little_memory(tmp_path: Path, s3: str) -> None:
    """256 MiB up and down, in a process of its own: the server of the test keeps everything in memory.

    Nothing is hashed: that maps the file, and pages that nobody holds would be counted.
    """
    large = made(tmp_path, "large", 256 * MEBI)
    script = (
        "import sys; from pathlib import Path\n"
        "from so8t.store import blobs, remote; from so8t.store.manifest import File\n"
        "url, folder, name, size, digest = sys.argv[1:]; file = File(name, int(size), digest)\n"
        "def peak():\n"
        "    (line,) = [line for line in Path('/proc/self/status').open() if line.startswith('VmHWM')]\n"
        "    return int(line.split()[1]) // 1024\n"
        "blobs.blake3_of = lambda path: digest\n"
        "remote.open_fs(url)[0].exists(url); before = peak()\n"
        "blobs.send(url, None, Path(folder), [file]); sent = peak()\n"
        "blobs.fetch(url, [(file, Path(folder, 'back'))])\n"
        "print(before, sent - before, peak() - before)\n"
    )
    command = [sys.executable, "-c", script, s3, str(tmp_path), large.path, str(large.size), large.blake3]
    run = subprocess.run(command, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, check=True)
    before, sent, both = map(int, run.stdout.split())
    print(f"before {before} MiB, up {sent} more, and down {both} more")
    assert both < 100
