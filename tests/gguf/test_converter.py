"""Our GGUF beside the one that llama.cpp's own converter makes of the same folder."""

from __future__ import annotations

from pathlib import Path

import gguf
import pytest

from so8t.gguf import layout, writer
from so8t.gguf.metadata import Provenance
from tests.bases import converter, families
from tests.gguf import folders

pytestmark = pytest.mark.soak


def tensors(path: Path) -> list[tuple[str, str, bytes]]:
    return [(each.name, each.tensor_type.name, each.data.tobytes()) for each in gguf.GGUFReader(path).tensors]


@pytest.mark.parametrize("name", ["phi35", *families.BASES])
def test_every_tensor_is_bit_equal_to_llama_cpps(name: str, tmp_path: Path) -> None:
    folder = families.build(name, tmp_path / name)
    theirs = converter.convert(folder, tmp_path / "theirs.gguf")

    source = layout.open_source(folder)
    writer.write(
        source, tmp_path / "ours.gguf", "f16", Provenance(name), layout.read_vocabulary(source, folders.MARKERS)
    )

    assert tensors(tmp_path / "ours.gguf") == tensors(theirs)
