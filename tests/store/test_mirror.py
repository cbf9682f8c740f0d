"""A second machine's store at a URL: shared, verified, and never in the way."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from so8t.errors import StageError
from so8t.store import remote
from so8t.store.mirror import Mirror
from tests.yard import Yard, files_of, fingerprint

KEY = fingerprint("1").key


@pytest.fixture(params=["file", "memory", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return request.getfixturevalue("s3") if request.param == "s3" else f"{request.param}://{tmp_path}/mirror"


def stored(url: str) -> dict[str, bytes]:
    """Everything in a mirror, by the last part of its name."""
    fs, base = remote.open_fs(url)
    return {name.rsplit("/", 1)[1]: fs.cat_file(name) for name in fs.find(base)}


def overwrite(url: str, name: str, data: bytes) -> None:
    fs, base = remote.open_fs(url)
    (path,) = [path for path in fs.find(base) if path.endswith(name)]
    fs.pipe_file(path, data)


def test_another_machine_restores_what_this_one_built(tmp_path: Path, url: str, capsys) -> None:
    here, there = Yard(tmp_path / "here", mirror=url), Yard(tmp_path / "there", mirror=url)
    manifest = here.build("1")

    assert there.ensure("1") == "restored"
    assert (there.texts(), there.inspect(thorough=True).damage) == (files_of("1"), ())
    assert (there.folder() / "manifest.json").read_bytes() == manifest.encode()
    assert there.store.find(KEY) == manifest
    assert capsys.readouterr().err == ""


def test_a_mirror_holds_files_by_content_and_entries_by_key(tmp_path: Path, url: str) -> None:
    manifest = Yard(tmp_path / "here", mirror=url).build("1")

    assert stored(url) == {
        f"{KEY}.json": manifest.encode(),
        **{file.blake3: files_of("1")[file.path].encode() for file in manifest.files},
    }


def test_a_torn_upload_is_repaired_by_the_next(tmp_path: Path, url: str, capsys) -> None:
    manifest = Yard(tmp_path / "here", mirror=url).build("1")
    whole = stored(url)
    overwrite(url, manifest.files[0].blake3, b"A o")
    overwrite(url, f"{KEY}.json", manifest.encode()[:99])

    there = Yard(tmp_path / "there", mirror=url)
    assert there.ensure("1") == "built"
    assert stored(url) == whole
    assert capsys.readouterr().err == (
        f"warning: mirror {url}: entries/{KEY}.json: not a manifest: JSONDecodeError: Expecting value: "
        "line 7 column 14 (char 99); going on without the mirror\n"
    )


def test_wrong_content_is_refused_and_built_instead(tmp_path: Path, url: str, capsys) -> None:
    manifest = Yard(tmp_path / "here", mirror=url).build("1")
    overwrite(url, manifest.files[0].blake3, b"A of X")

    there = Yard(tmp_path / "there", mirror=url)
    assert there.ensure("1") == "built"
    assert there.texts() == files_of("1")
    assert capsys.readouterr().err == (
        f"warning: mirror {url}: model/a.bin arrived with other content than its digest says; "
        "going on without the mirror\n"
    )


def test_an_entry_is_made_once_and_one_with_other_bytes_is_told_of_both(tmp_path: Path, url: str, capsys) -> None:
    first = Yard(tmp_path / "here", mirror=url).build("1")
    whole = stored(url)

    there = Yard(tmp_path / "there", mirror=url)
    second = there.build("1", {"model/a.bin": "by chance", "model/b.bin": "the same in all", "text.txt": "other"})

    assert there.texts()["model/a.bin"] == "by chance"
    assert stored(url).items() >= whole.items()
    assert capsys.readouterr().err == (
        f"warning: mirror {url}: entries/{KEY}.json: thing was built twice under this key, with other bytes: "
        f"model/a.bin is {first.digests['model/a.bin']} there and {second.digests['model/a.bin']} here, "
        "and 1 more differ; what lies there stays. The stage is not deterministic between these two machines: "
        "compare their threads, devices and packages; going on without the mirror\n"
    )


def test_a_builder_that_may_publish_no_more_makes_no_entry(tmp_path: Path, url: str) -> None:
    def refuse() -> None:
        raise StageError("the lease is another's")

    with pytest.raises(StageError, match="the lease is another's"):
        Yard(tmp_path / "here", mirror=Mirror(url, fence=refuse)).build("1")

    assert stored(url) == {}
    assert not (tmp_path / "here" / "artifacts" / "tiny" / "thing").exists()


def test_where_others_wait_for_the_mirror_one_that_fails_fails_the_stage(tmp_path: Path) -> None:
    yard = Yard(tmp_path, mirror="file:///proc/so8t-mirror")
    yard.store = replace(yard.store, relies=True)

    with pytest.raises(StageError, match=r"mirror file:///proc/so8t-mirror: .*; nothing was published, run doit again"):
        yard.ensure("1")


def test_an_entry_under_anothers_key_is_not_taken(tmp_path: Path, url: str) -> None:
    Yard(tmp_path / "here", mirror=url).build("1")
    overwrite(url, f"{KEY}.json", Yard(tmp_path / "evil").build("2").encode())

    there = Yard(tmp_path / "there", mirror=url)
    assert there.store.find(KEY) is None
    assert there.ensure("1") == "built"


def test_an_entry_that_reaches_out_of_the_artifact_is_refused(tmp_path: Path, url: str, capsys) -> None:
    manifest = Yard(tmp_path / "here", mirror=url).build("1")
    overwrite(url, f"{KEY}.json", manifest.encode().replace(b"model/a.bin", b"../../.bashrc"))

    assert Yard(tmp_path / "there", mirror=url).ensure("1") == "built"
    assert "path '../../.bashrc' leaves the artifact; going on without the mirror" in capsys.readouterr().err


def test_a_file_that_the_mirror_lost_is_built(tmp_path: Path, url: str) -> None:
    manifest = Yard(tmp_path / "here", mirror=url).build("1")
    fs, base = remote.open_fs(url)
    fs.rm_file(f"{base}/blobs/{manifest.files[0].blake3[:2]}/{manifest.files[0].blake3}")

    assert Yard(tmp_path / "there", mirror=url).ensure("1") == "built"
    assert manifest.files[0].blake3 in stored(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("nosuch://bucket/so8t", "Protocol not known: nosuch"),
        ("sftp://unreachable.invalid/so8t", ""),
        ("file:///proc/so8t-mirror", "cannot upload"),
    ],
)
def test_a_mirror_that_cannot_be_used_warns_and_work_goes_on(tmp_path: Path, url: str, said: str, capsys) -> None:
    yard = Yard(tmp_path, mirror=url)

    assert [yard.ensure(version) for version in "121"] == ["built", "built", "restored"]
    warnings = capsys.readouterr().err.splitlines()
    assert warnings
    assert all(line.startswith(f"warning: mirror {url}: ") for line in warnings)
    assert said in warnings[-1]
    assert all(line.endswith("; going on without the mirror") for line in warnings)


def test_what_a_restore_brought_is_kept_without_the_mirror(tmp_path: Path) -> None:
    url = f"file://{tmp_path}/mirror"
    Yard(tmp_path / "here", mirror=url).build("1")
    there = Yard(tmp_path / "there", mirror=url)
    there.ensure("1")
    shutil.rmtree(tmp_path / "mirror")
    alone = Yard(tmp_path / "there")
    alone.build("2")

    assert alone.ensure("1") == "restored"
