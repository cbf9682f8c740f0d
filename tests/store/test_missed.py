"""Results that missed a bound: found by people, and never published, whenever they are killed."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest

from so8t.store import missed
from tests.yard import Yard, files_of, fingerprint

GIVES = ("model/", "text.txt")
pytestmark = pytest.mark.usefixtures("unsynced")


@pytest.fixture
def yard(tmp_path: Path) -> Yard:
    return Yard(tmp_path)


def put_by(yard: Yard, version: str, stage: str = "thing") -> missed.Kept:
    out = yard.write(version, stage=stage)
    return missed.put_by(yard.layout, out, fingerprint(version, stage), GIVES, f"{version} is not good enough")


def test_it_is_found_with_its_manifest_and_why_and_the_one_before_it_is_gone(yard: Yard) -> None:
    put_by(yard, "A")
    kept = put_by(yard, "B")

    assert missed.read(yard.layout, "thing") == kept
    assert (kept.manifest.key, kept.why) == (fingerprint("B").key, "B is not good enough")
    assert sorted(file.path for file in kept.manifest.files) == sorted(files_of("B"))
    assert (kept.folder / "text.txt").read_text("utf-8") == "本文 B\n"
    assert kept.sentence(yard.layout) == (
        "B is not good enough; its figures are in artifacts/tiny/.so8t/missed/thing, which no stage reads"
    )


def test_those_of_all_profiles_are_found(yard: Yard, tmp_path: Path) -> None:
    put_by(yard, "A")
    put_by(Yard(tmp_path, profile="other"), "B", "scores")

    found = [(kept.profile, kept.manifest.fingerprint.stage) for kept in missed.every(yard.layout)]
    assert found == [("other", "scores"), ("tiny", "thing")]


def test_killed_before_it_is_whole_it_is_not_found_and_the_next_build_publishes_none_of_it(yard: Yard) -> None:
    with patch.object(missed, "seal", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        put_by(yard, "A")

    assert missed.read(yard.layout, "thing") is None
    assert list(missed.every(yard.layout)) == []
    assert yard.ensure("A") == "built"
