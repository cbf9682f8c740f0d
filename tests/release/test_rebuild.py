"""A stage of a release is built once more, apart from everything else, and every byte is compared."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from so8t.engine import plan as plans
from so8t.release.rebuild import rebuild
from so8t.release.verifier import CannotTell
from so8t.store.manifest import Manifest, decode
from tests.house import House


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> House:
    house = House(tmp_path_factory.mktemp("house"))
    assert house.doit("doubled").code == 0
    return house


@pytest.fixture(autouse=True)
def toys(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A plan that is not remembered imports the toy stages here, under the name of the real ones."""
    real = {name: sys.modules.pop(name) for name in _stages()}
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    for name in _stages():
        del sys.modules[name]
    sys.modules.update(real)


def _stages() -> list[str]:
    return [name for name in sys.modules if name.partition(".")[0] == "stages"]


@pytest.fixture
def release(built: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As far as a rebuild looks at one: manifests, and a file."""
    folder = tmp_path / "release"
    (folder / "manifests").mkdir(parents=True)
    for stage in ("numbers", "doubled"):
        shutil.copy(built.artifact(stage) / "manifest.json", folder / "manifests" / f"{stage}.json")
    shutil.copy(built.artifact("doubled") / "doubled.txt", folder / "twice.txt")
    monkeypatch.chdir(built.path)
    monkeypatch.setenv("HOUSE_LOG", str(built.log))
    return folder


def said_of(built: House, release: Path, stage: str) -> tuple[int, list[str]]:
    code, lines = rebuild(plans.load(built.path, "tiny"), release, stage)
    return code, [re.sub(r"[\d.]+ s", "N s", line) for line in lines]


def doctored(release: Path, **changes: object) -> None:
    """The manifest of doubled, as another build would have written it."""
    path = release / "manifests" / "doubled.json"
    found = decode(path.read_bytes())
    print_ = replace(found.fingerprint, **{name: value for name, value in changes.items() if name != "blake3"})
    files = tuple(replace(file, blake3=changes.get("blake3", file.blake3)) for file in found.files)
    path.write_bytes(Manifest(print_, files).encode())


@pytest.mark.slow
def test_equal_bytes_are_told_and_nothing_is_published(built: House, release: Path) -> None:
    before, noted = built.digests(), len(built.noted())

    assert said_of(built, release, "doubled") == (
        0,
        ["doubled: built again in N s, 2 files, every byte the same: twice.txt"],
    )
    assert built.noted()[noted:] == ["doubled"]
    assert built.digests() == before
    assert not (built.path / "artifacts/tiny/.so8t/again/doubled").exists()

    doctored(release, blake3="ab" * 32)
    assert said_of(built, release, "doubled") == (
        1,
        [
            "doubled/ballast/bytes.bin: built again, and it has other bytes",
            "doubled/doubled.txt: built again, and it has other bytes",
        ],
    )


def test_what_this_project_would_make_otherwise_is_not_built(built: House, release: Path) -> None:
    doctored(release, spec={"size": 0, "times": 3})

    with pytest.raises(CannotTell) as told:
        said_of(built, release, "doubled")
    assert str(told.value) == (
        "doubled: this project would make another one, so it was not built\n  - spec times: 3 -> 2"
    )
    with pytest.raises(CannotTell) as unknown:
        said_of(built, release, "total")
    assert str(unknown.value) == "total: the release has no such manifest: it has doubled, numbers"
