"""Digests: right, taken once, and never remembered too early."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

import blake3 as reference
import pytest

from so8t.store import digest as digests
from so8t.store.digest import DigestMemo, blake3_of, is_settled, sha256_of, signature


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of files in the order in which their content was read."""
    names: list[str] = []

    def count(path: Path) -> str:
        names.append(path.name)
        return blake3_of(path)

    monkeypatch.setattr(digests, "blake3_of", count)
    return names


def settle(path: Path) -> Path:
    """Wait until the file is older than the file system's tick: the change time cannot be set."""
    while not is_settled(signature(path), time.time_ns()):
        pass
    return path


def test_the_digests_of_abc_are_the_published_ones(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")

    assert blake3_of(tmp_path / "abc") == "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
    assert sha256_of(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("size", [0, 1, (1 << 17) - 1, 1 << 17, (1 << 20) + 1])
def test_every_size_is_read_whole(tmp_path: Path, size: int) -> None:
    data = bytes(index * 31 % 251 for index in range(size))
    (tmp_path / "data").write_bytes(data)

    assert blake3_of(tmp_path / "data") == reference.blake3(data).hexdigest()
    assert sha256_of(tmp_path / "data") == hashlib.sha256(data).hexdigest()


def test_a_file_is_hashed_once_for_all_consumers_and_all_runs(tmp_path: Path, hashed: list[str]) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"1")
    settle(source)
    first, second = DigestMemo(tmp_path / "memo.json"), DigestMemo(tmp_path / "memo.json")

    found = [first.digest(source) for _ in range(5)]
    first.save()
    found.append(DigestMemo(tmp_path / "memo.json").digest(source))
    found.append(second.digest(source))  # it had loaded the memory before there was one
    second.save()

    assert set(found) == {reference.blake3(b"1").hexdigest()}
    assert hashed == ["source", "source"]


def test_two_processes_do_not_forget_for_each_other(tmp_path: Path, hashed: list[str]) -> None:
    for name in "ab":
        (tmp_path / name).write_text(name)
        settle(tmp_path / name)
    one, other = DigestMemo(tmp_path / "memo.json"), DigestMemo(tmp_path / "memo.json")

    one.digest(tmp_path / "a")
    other.digest(tmp_path / "b")
    one.save()
    other.save()

    assert sorted(json.loads((tmp_path / "memo.json").read_bytes())) == [str(tmp_path / "a"), str(tmp_path / "b")]


def test_a_touched_file_is_hashed_once_more(tmp_path: Path, hashed: list[str]) -> None:
    source, memo = tmp_path / "source", DigestMemo(tmp_path / "memo.json")
    source.write_bytes(b"1")
    memo.digest(settle(source))
    os.utime(source)
    settle(source)

    assert [memo.digest(source), memo.digest(source)] == [reference.blake3(b"1").hexdigest()] * 2
    assert hashed == ["source", "source"]


def test_an_edit_of_the_same_size_within_one_tick_of_the_clock_is_seen(tmp_path: Path) -> None:
    source, memo = tmp_path / "source", DigestMemo(tmp_path / "memo.json")
    for number in range(200):
        source.write_bytes(b"%03d" % number)

        assert memo.digest(source) == reference.blake3(b"%03d" % number).hexdigest()


def test_an_edit_that_hides_behind_its_old_time_is_seen(tmp_path: Path) -> None:
    source, memo = tmp_path / "source", DigestMemo(tmp_path / "memo.json")
    source.write_bytes(b"1")
    os.utime(source, ns=(10**18, 10**18))
    memo.digest(settle(source))
    source.write_bytes(b"2")
    os.utime(source, ns=(10**18, 10**18))

    assert memo.digest(source) == reference.blake3(b"2").hexdigest()


@pytest.mark.parametrize(
    "junk",
    [b"", b"\x00\xff", b"[]", b"3", b'{"PATH": 5}', b'{"PATH": []}', b'{"PATH": [[1, 2], "x"]}', b'{"PATH": [null, 1]}',
     b"[" * 200_000, b'{"PATH": {"0": 1, "1": 2}}'],
)  # fmt: skip
def test_a_damaged_memory_is_no_memory(tmp_path: Path, junk: bytes) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"1")
    (tmp_path / "memo.json").write_bytes(junk.replace(b"PATH", str(source).encode()))

    assert DigestMemo(tmp_path / "memo.json").digest(source) == reference.blake3(b"1").hexdigest()


def test_a_memory_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(b"1")
    (tmp_path / "file").touch()
    memo = DigestMemo(tmp_path / "file" / "memo.json")

    assert memo.digest(settle(source)) == reference.blake3(b"1").hexdigest()
    memo.save()


def test_a_file_that_is_not_there_has_no_signature(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert signature(tmp_path / "nothing") is None
    assert signature(tmp_path / "file" / "below") is None
    with pytest.raises(FileNotFoundError) as caught:
        DigestMemo(tmp_path / "memo.json").digest(tmp_path / "nothing")
    assert caught.value.filename == str(tmp_path / "nothing")
