"""What a stage may read of other stages' specs, and whose code is read."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from so8t.engine import reading
from so8t.errors import StageError
from so8t.spec.fields import SpecModel, execution
from tests.conftest import ROOT


class Lora(SpecModel):
    targets: tuple[str, ...] = ("o_proj",)


class Adapter(SpecModel):
    lora: Lora = Lora()
    device: str = execution("cpu")


MODELS = {"adapter": Adapter()}


def test_a_value_of_another_stages_spec_is_found_by_its_path() -> None:
    assert reading.value_of("chat_format", "adapter.lora.targets", MODELS) == ["o_proj"]
    assert reading.value_of("chat_format", "adapter.lora", MODELS) == {"targets": ["o_proj"]}


@pytest.mark.parametrize("name", ["adapter.lora.target", "trainer.lora", "adapter.device", "adapter.lora.targets.0"])
def test_a_value_that_is_not_there_or_enters_no_key_is_refused(name: str) -> None:
    with pytest.raises(StageError) as refused:
        reading.value_of("chat_format", name, MODELS)

    assert str(refused.value) == (
        f"stages/chat_format.py reads {name}, which is not a semantic value of any stage's spec"
    )


def test_an_empty_folder_of_our_name_in_a_project_hides_no_code_from_a_key(tmp_path: Path) -> None:
    (tmp_path / "so8t").mkdir()
    asked = (
        "from pathlib import Path; from so8t.engine import reading; print(*reading.code_of(Path('{}'), 'stages.raw'))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", asked.format(ROOT)], cwd=tmp_path, check=True, capture_output=True, encoding="utf-8"
    )

    assert ran.stdout.split() == sorted(reading.code_of(ROOT, "stages.raw"))
    assert "so8t.corpus.ingest" in ran.stdout.split()
