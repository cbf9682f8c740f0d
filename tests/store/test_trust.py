"""Whose results a mirror may bring: those that a trusted key signed, as they were signed."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest

from so8t.errors import UserError
from so8t.store import trust
from so8t.store.mirror import Mirror
from so8t.store.trust import Trust
from tests.yard import Yard, fingerprint

KEY = fingerprint("1").key


@pytest.fixture
def ours(tmp_path: Path) -> Trust:
    path = tmp_path / "ours.pem"
    return Trust((trust.new_key(path),), path)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"file://{tmp_path}/mirror"


def offered(tmp_path: Path, url: str, by: Trust, version: str = "1") -> None:
    Yard(tmp_path / "here", mirror=Mirror(url, by)).build(version)


def taken(tmp_path: Path, url: str, by: Trust, capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    """How another machine comes to it, and the first line of what it says."""
    capsys.readouterr()
    done = Yard(tmp_path / "there", mirror=Mirror(url, Trust(by.keys))).ensure("1")
    return done, capsys.readouterr().err.partition("\n")[0]


def refused(url: str, why: str) -> tuple[str, str]:
    return "built", f"warning: mirror {url}: entries/{KEY}.json {why}; going on without the mirror"


def files(tmp_path: Path, pattern: str) -> list[Path]:
    return sorted((tmp_path / "mirror" / "entries").glob(pattern))


def test_what_a_trusted_machine_signed_is_restored(tmp_path: Path, url: str, ours: Trust, capsys) -> None:
    offered(tmp_path, url, ours)

    assert taken(tmp_path, url, ours, capsys) == ("restored", "")


def test_what_nobody_signed_is_refused_by_name(tmp_path: Path, url: str, ours: Trust, capsys) -> None:
    offered(tmp_path, url, Trust())

    assert taken(tmp_path, url, ours, capsys) == refused(url, "is signed by no key of store.trusted")


def test_what_a_stranger_signed_is_refused(tmp_path: Path, url: str, ours: Trust, capsys) -> None:
    stranger = tmp_path / "stranger.pem"
    offered(tmp_path, url, Trust((trust.new_key(stranger),), stranger))

    assert taken(tmp_path, url, ours, capsys) == refused(url, "is signed by no key of store.trusted")


def test_what_was_changed_behind_the_signature_is_refused(tmp_path: Path, url: str, ours: Trust, capsys) -> None:
    offered(tmp_path, url, ours)
    (entry,) = files(tmp_path, "*.json")
    entry.write_bytes(entry.read_bytes().replace(b"model/a.bin", b"model/b.bin"))

    assert ours.keys
    assert taken(tmp_path, url, ours, capsys) == refused(url, f"was changed after {ours.keys[0]} signed it")


def test_a_signed_entry_is_not_taken_for_another(tmp_path: Path, url: str, ours: Trust, capsys) -> None:
    """Replayed: bytes and signature of one result, under the key of another."""
    offered(tmp_path, url, ours, "2")
    for path in files(tmp_path, "*"):
        path.rename(path.with_name(path.name.replace(fingerprint("2").key, KEY)))

    assert taken(tmp_path, url, ours, capsys)[0] == "built"


@pytest.mark.parametrize("torn", [b"", b"no base64 at all\n", b"AAAA\n"])
def test_a_torn_signature_is_none(tmp_path: Path, url: str, ours: Trust, torn: bytes, capsys) -> None:
    offered(tmp_path, url, ours)
    (signature,) = files(tmp_path, "*.sig")
    signature.write_bytes(torn)

    assert ours.keys
    assert taken(tmp_path, url, ours, capsys) == refused(url, f"was changed after {ours.keys[0]} signed it")


def test_one_of_several_signatures_is_enough(tmp_path: Path, url: str, ours: Trust, capsys) -> None:
    second = tmp_path / "second.pem"
    both = Trust((trust.new_key(second), *(ours.keys or ())), second)
    offered(tmp_path, url, ours)
    files(tmp_path, "*.sig")[0].with_name(f"{KEY}.{trust._file(both.keys[0])}").write_bytes(b"AAAA")  # type: ignore[index]

    assert taken(tmp_path, url, both, capsys) == ("restored", "")


def test_one_who_loses_a_race_does_not_spoil_the_signature_of_the_winner(
    tmp_path: Path, url: str, ours: Trust, capsys
) -> None:
    """Two machines with one key sign two results of one stage; the entry of the first stays good."""
    asked = []

    def at_the_last_moment() -> None:
        asked.append(1)
        if len(asked) == 2:
            offered(tmp_path, url, ours)

    late = Mirror(url, ours, fence=at_the_last_moment)
    Yard(tmp_path / "late", mirror=late).build("1", {"text.txt": "other"})

    assert "thing was built twice under this key" in capsys.readouterr().err
    assert len(files(tmp_path, "*.sig")[0].read_bytes().splitlines()) == 2
    assert taken(tmp_path, url, ours, capsys) == ("restored", "")


def test_a_machine_without_a_key_only_reads(tmp_path: Path, url: str, ours: Trust) -> None:
    offered(tmp_path, url, Trust(ours.keys))

    assert not (tmp_path / "mirror").exists()


def test_a_private_result_stays_at_home(tmp_path: Path, url: str) -> None:
    yard = Yard(tmp_path / "here", mirror=url)
    yard.store = replace(yard.store, private=frozenset({fingerprint("1").stage}))
    yard.build("1")

    assert not fsspec.filesystem("file").exists(f"{tmp_path}/mirror")


def test_the_key_in_the_environment_goes_before_the_file(
    tmp_path: Path, ours: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = tmp_path / "second.pem"
    named = trust.new_key(second)
    monkeypatch.setenv(trust.VARIABLE, second.read_text())

    signed = ours.sign(b"data")

    assert signed and signed[0] == trust._file(named)


def test_a_key_is_its_owners_alone_and_written_over_by_nobody(tmp_path: Path, ours: Trust) -> None:
    assert ours.private
    if os.name != "nt":
        assert stat.S_IMODE(ours.private.stat().st_mode) == 0o600
    with pytest.raises(UserError, match=r"ours\.pem is there already; no key is written over"):
        trust.new_key(ours.private)


def test_what_is_no_key_is_said(tmp_path: Path) -> None:
    path = tmp_path / "other.pem"
    path.write_text("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")

    with pytest.raises(UserError) as caught:
        Trust(("ed25519:x",), path).sign(b"data")

    assert str(caught.value) == (f"{path}: not an Ed25519 private key in PEM; doit mirror --new-key FILE makes one")
