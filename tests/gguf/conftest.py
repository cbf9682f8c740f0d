"""A small Phi-3 of our own as a checkpoint and as GGUFs, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from so8t.gguf import layout, writer
from so8t.gguf.metadata import Provenance
from tests.gguf import folders


@pytest.fixture(scope="session")
def phi3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder; copy it before changing it."""
    return folders.build("phi3", tmp_path_factory.mktemp("phi3"))


@pytest.fixture(scope="session")
def phi3_f16(phi3: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("gguf") / "pico-f16.gguf"
    source = layout.open_source(phi3)
    writer.write(source, target, "f16", Provenance("pico"), layout.read_vocabulary(source, folders.MARKERS))
    return target
