"""A finished profile and releases of it, made once; a test that breaks one takes a copy."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from so8t.release import folder, reading, signing
from so8t.release.reading import Shelf
from so8t.store.cache import Store
from so8t.store.layout import Layout
from tests.release import made

FORMS = ("gguf", "safetensors")


@dataclass(frozen=True)
class Profile:
    layout: Layout
    store: Store
    key: Path

    def shelf(self, *forms: str) -> Shelf:
        return reading.shelf(self.layout, self.store, folder.wanted(forms))

    def order(self, *forms: str) -> folder.Order:
        return folder.Order(forms, self.layout.project / "LICENSE", "工房", 65.0)


@pytest.fixture(scope="session")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Profile:
    project = tmp_path_factory.mktemp("release")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda handle: None)
        layout, store = made.profile(project)
    signing.new_key(project / "own.key")
    return Profile(layout, store, project / "own.key")


@pytest.fixture(scope="session")
def released(profile: Profile) -> Path:
    """Everything, signed."""
    out = profile.layout.project / "release" / "own"
    order = profile.order(*FORMS)
    signed = folder.Order(**{**order.__dict__, "sign": partial(signing.with_key, key=profile.key)})
    folder.write(profile.shelf(*FORMS), signed, out)
    return out


@pytest.fixture
def copied(released: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(released, tmp_path / "own"))
