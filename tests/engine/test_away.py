"""Results whose files stay in the mirror: their manifest stands for them, and they come when somebody needs them."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from so8t.engine.bring import Build, Target, bring
from so8t.errors import StageError
from so8t.store.manifest import Manifest
from tests.yard import Yard, fingerprint

FILES = {"model/a.bin": "A", "text.txt": "本文\n", "stats.json": '{"kept": 1}'}
DOCUMENTS = ["manifest.json", "stats.json"]


@pytest.fixture
def made(tmp_path: Path) -> Manifest:
    """What another machine gave to the mirror."""
    return Yard(tmp_path / "there", mirror=f"file://{tmp_path}/mirror").build("1", FILES)


@pytest.fixture
def here(tmp_path: Path, made: Manifest) -> Yard:
    return Yard(tmp_path / "here", mirror=f"file://{tmp_path}/mirror")


def target(yard: Yard, stays_away: bool = True) -> Target:
    return Target(yard.layout, yard.store, fingerprint("1"), tuple(FILES), stays_away=stays_away)


def nothing(out: Path) -> None:
    raise AssertionError("nothing is to be built")


def files(yard: Yard) -> list[str]:
    folder = yard.folder()
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("how", ["restored", "built"])
def test_the_manifest_and_small_documents_come_and_the_files_when_they_are_needed(
    here: Yard, made: Manifest, how: str
) -> None:
    build: Build = nothing if how == "restored" else lambda out: made

    assert bring(target(here), build, anew=how == "built") == how

    assert files(here) == DOCUMENTS
    assert here.inspect().dropped and here.inspect().manifest == made
    assert here.store.find(made.key) == made
    assert not list((here.layout.state / "work").glob("*"))

    assert bring(target(here, stays_away=False), nothing) == "restored"
    assert here.inspect(thorough=True).is_whole
    assert here.texts() == FILES


def test_what_stood_there_goes_to_the_store(here: Yard) -> None:
    old = here.build("0", FILES)

    bring(target(here), nothing)

    assert files(here) == DOCUMENTS
    assert here.store.restore(old, here.layout.project / "again")


def test_what_the_mirror_has_not_is_kept_here(here: Yard, made: Manifest, tmp_path: Path) -> None:
    bring(target(here, stays_away=False), nothing)
    shutil.rmtree(here.folder())
    shutil.rmtree(tmp_path / "mirror" / "entries")

    assert bring(target(here), nothing) == "restored"
    assert here.inspect(thorough=True).is_whole


def test_a_document_that_the_mirror_lost_is_told(here: Yard, made: Manifest, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "mirror" / "blobs")

    with pytest.raises(StageError) as refused:
        bring(target(here), lambda out: made, anew=True)

    assert str(refused.value) == "thing: the store has its entry and not all of its files; run doit again"
    assert not here.folder().exists()
