"""What a stage may read of other stages' specs."""

from __future__ import annotations

import pytest

from so8t.engine import reading
from so8t.errors import StageError
from so8t.spec.fields import SpecModel, execution


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
