"""On a CUDA device, `pytest -m gpu`: quantised bases, checkpointed activations, the optimiser with pages."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
from safetensors.torch import load_file

from so8t.errors import StageError
from so8t.train import run
from so8t.watch import memory
from tests.train.conftest import Place

pytestmark = pytest.mark.gpu


@pytest.mark.parametrize("quantise", ["none", "int8", "nf4"])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_a_base_in_few_bits_trains_with_gates(
    wide: Place, tmp_path: Path, quantise: Literal["none", "int8", "nf4"], checkpointing: bool
) -> None:
    train = wide.job().train.model_copy(update={"gradient_checkpointing": checkpointing, "steps": 12})

    result = run.train(wide.job(quantise=quantise, precision="bfloat16", train=train), tmp_path / "out")

    losses = list(result.validation.values())
    assert (result.steps, result.optimizer) == (12, "paged_adamw8bit")
    assert losses[-1] < losses[0]
    gates = load_file(tmp_path / "out" / "gates.safetensors")
    assert all(bool(value.isfinite().all()) and bool(value.any()) for value in gates.values())


def test_memory_that_runs_out_is_explained_and_the_checkpoint_stays(wide: Place, tmp_path: Path) -> None:
    train = wide.job().train
    whole = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((64 << 20) / whole)
    try:
        with (
            pytest.raises(StageError, match=r"train\.gradient_checkpointing"),
            memory.explained(train, "none"),
        ):
            torch.empty(1 << 30, device="cuda")
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
