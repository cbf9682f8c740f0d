"""Archives as sources: what is in them is read as if it lay beside them, and nothing of them leaves its place."""

import bz2
import gzip
import io
import json
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from so8t.corpus import archives, opened
from so8t.corpus.files import LocalFiles
from so8t.engine.stage import Source
from so8t.errors import DataError

RECORD = json.dumps({"text": "一"}, ensure_ascii=False).encode()


def zipped(members: dict[str, bytes], **of_each: Any) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, data in members.items():
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            for key, value in of_each.items():
                setattr(info, key, value)
            packed.writestr(info, data)
    return out.getvalue()


def tarred(members: dict[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            packed.addfile(info, io.BytesIO(data))
    return out.getvalue()


def read(path: Path, data: bytes, **options: Any) -> tuple[list[tuple[str, str]], dict[str, str]]:
    path.write_bytes(data)
    source = LocalFiles(name="docs", terms="t", trust="low", paths=["x"], **options)
    rows = source.open([Source(path.name, path)], path.parent / "scratch", 1 << 20)
    found = [(row.place, rows.parse(row.data)["text"]) for row in rows.rows if row.data != b""]
    assert list((path.parent / "scratch").rglob("*.*")) == []
    return found, dict(rows.read_as)


def refusal(path: Path, data: bytes, **options: Any) -> str:
    with pytest.raises(DataError) as error:
        read(path, data, **options)
    return str(error.value)


FILES = {
    "./a.jsonl": RECORD + b"\n" + RECORD,
    "日本/b.txt.gz": gzip.compress("二".encode("utf-16")),
    "c.csv": "text\n三\n".encode("cp932"),
    "more.zip": zipped({"d.html": "<html><p>経費の締め日は毎月二十五日です。".encode("euc_jp"), "e.png": b"\x89PNG"}),
    "LICENSE": b"MIT",
}


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.zip", zipped),
        ("a.tar", tarred),
        ("a.tar.gz", lambda files: gzip.compress(tarred(files))),
        ("a.tgz", lambda files: gzip.compress(tarred(files))),
        ("a.tar.bz2", lambda files: bz2.compress(tarred(files))),
    ],
)
def test_each_file_in_an_archive_is_read_by_what_it_is_and_so_are_archives_in_it(
    tmp_path: Path, name: str, pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    found, read_as = read(tmp_path / name, pack(FILES))

    assert found == [
        (f"{name}!/a.jsonl:1", "一"),
        (f"{name}!/a.jsonl:2", "一"),
        (f"{name}!/日本/b.txt.gz: record 1", "二"),
        (f"{name}!/c.csv: record 1", "三"),
        (f"{name}!/more.zip!/d.html: record 1", "経費の締め日は毎月二十五日です。"),
    ]
    guessed = "byte 7 is not UTF-8, and the bytes behind it are most like this"
    guessed = guessed.replace("7", str(len("text\n") + 1))
    assert read_as == {
        name: "an archive: 1 x .jsonl; 1 x text in utf-16 (it begins with a byte order mark), a record for each file; "
        f"1 x a table in cp932 ({guessed}), its cells parted by commas; "
        "1 x the main text of a page in euc_jp (kana can be read in it); not read: 1 x .png, "
        "1 x a name without a suffix"
    }


def test_a_kind_that_the_spec_names_is_that_of_every_member(tmp_path: Path) -> None:
    found, _ = read(tmp_path / "a.zip", zipped({"wiki_00": "一\n二".encode()}), kind="text", cut="line")

    assert found == [("a.zip!/wiki_00: record 1", "一"), ("a.zip!/wiki_00: record 2", "二")]


def test_names_that_windows_in_japan_wrote_are_read(tmp_path: Path) -> None:
    data = zipped({"xxxx.txt": b"a"}).replace(b"xxxx.txt", "経費.txt".encode("cp932"))

    assert read(tmp_path / "a.zip", data)[0] == [("a.zip!/経費.txt: record 1", "a")]


@pytest.mark.parametrize("name", ["../a.txt", "/etc/a.txt", "b/../../a.txt", "C:/a.txt", "..\\a.txt"])
@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_path_that_would_leave_is_refused_and_nothing_is_written_there(
    tmp_path: Path, pack: Callable[[dict[str, bytes]], bytes], name: str
) -> None:
    said = refusal(tmp_path / "a.archive.tar" if pack is tarred else tmp_path / "a.zip", pack({name: b"x"}))

    assert f"the member {name!r} would lie outside of the archive's folder; " in said
    assert said.endswith("unpack it yourself and name the files")
    assert sorted(path.suffix for path in tmp_path.rglob("*") if path.is_file()) in ([".tar"], [".zip"])


def test_links_and_devices_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret", "utf-8")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as packed:
        for kind, target in (
            (tarfile.SYMTYPE, "../secret.txt"),
            (tarfile.LNKTYPE, "secret.txt"),
            (tarfile.FIFOTYPE, ""),
        ):
            info = tarfile.TarInfo(f"{kind!r}.txt")
            info.type, info.linkname = kind, target
            packed.addfile(info)
    link = zipped({"a.txt": b"../secret.txt"}, create_system=3, external_attr=(stat.S_IFLNK | 0o777) << 16)

    assert read(tmp_path / "a.tar", out.getvalue()) == ([], {"a.tar": "an archive: not followed: 2 x link"})
    assert read(tmp_path / "a.zip", link) == ([], {"a.zip": "an archive: not followed: 1 x link"})


BOMB = zipped({"a.txt": b"\n" * (1 << 22)})
PACKED = zipfile.ZipFile(io.BytesIO(BOMB)).infolist()[0].compress_size


def nested(depth: int) -> bytes:
    data = zipped({"a.txt": b"a"})
    for _ in range(depth - 1):
        data = zipped({"a.zip": data})
    return data


@pytest.mark.parametrize(
    ("limits", "data", "said"),
    [
        ({}, nested(4), "a.zip!/a.zip!/a.zip!/a.zip: archives in archives, more than 3 deep; {}"),
        ({"MEMBERS": 2}, zipped(dict.fromkeys(("a.txt", "b.txt", "c.txt"), b"a")), "a.zip: more than 2 members; {}"),
        (
            {"FREE": 1 << 16},
            BOMB,
            f"a.zip: {PACKED:,} bytes unpack to more than 200 times as much, which no data does; "
            "if that is right, {}",
        ),
        ({"UNPACKED": 0}, zipped({"a.txt": b"a"}), "a.zip: its members hold more than 0 GiB; {}"),
        (
            {},
            zipped({"a.txt": b"a" * 99}).replace(zipped({"a.txt": b"a" * 99})[35:38], b"\xff\xff\xff", 1),
            "a.zip!/a.txt: cannot decompress: Error -3 while decompressing data: invalid block type; "
            "get the file again",
        ),
        ({}, b"PK\x03\x04 broken", "a.zip: member 1: cannot unpack: File is not a zip file; get the file again"),
    ],
    ids=["depth", "members", "ratio", "size", "broken member", "broken archive"],
)
def test_an_archive_beyond_the_limits_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limits: dict[str, int], data: bytes, said: str
) -> None:
    for name, value in limits.items():
        monkeypatch.setattr(archives, name, value)

    assert refusal(tmp_path / "a.zip", data) == said.format("unpack it yourself and name the files")


def test_a_tar_that_is_a_bomb_or_was_cut_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = tarred({"a.txt": RECORD * 900})
    assert refusal(tmp_path / "a.tar", whole[:2000]) == (
        "a.tar!/a.txt: cannot unpack: unexpected end of data; get the file again"
    )
    assert refusal(tmp_path / "a.tar.gz", gzip.compress(whole)[:-30]).endswith(
        "the compressed file ends too early, after 0 whole members; get it again"
    )
    monkeypatch.setattr(opened, "FREE", 1 << 16)
    said = refusal(tmp_path / "b.tar.gz", gzip.compress(tarred({"a.txt": b"\n" * (1 << 22)})))
    assert "bytes unpack to more than 200 times as much, which no data does; " in said


def test_an_encrypted_member_is_named(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.txt": b"a"}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1

    assert refusal(tmp_path / "a.zip", bytes(data)) == (
        "a.zip: the member 'a.txt' is encrypted; unpack it yourself and name the files"
    )
