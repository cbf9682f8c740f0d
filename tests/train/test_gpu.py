"""On a CUDA device, `pytest -m gpu`: quantised bases, checkpointed activations, the optimiser with pages."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest
import torch
from safetensors.torch import load_file

from so8t.errors import StageError
from so8t.gate import varlen
from so8t.train import run
from so8t.train.fused import families
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


@pytest.mark.parametrize("packing", [False, True])
def test_fused_kernels_are_on_where_they_hold_and_change_next_to_nothing(
    wide: Place, tmp_path: Path, packing: bool
) -> None:
    """With liger-kernel here, norms and loss are on for the pico Phi-3; attention by ends is for packed rows."""
    train = wide.job().train.model_copy(update={"packing": packing, "steps": 8, "kernel_error": 0.05})

    plain = train.model_copy(update={"kernels": "off"})
    without = run.train(wide.job(precision="bfloat16", train=plain), tmp_path / "without")
    fused = run.train(wide.job(precision="bfloat16", train=train), tmp_path / "fused")

    assert without.kernels == dict.fromkeys(("norms", "loss", "attention"), "off: train.kernels is off")
    assert fused.kernels is not None
    if families() is not None:
        assert (fused.kernels["norms"], fused.kernels["loss"]) == ("on", "on")
    if packing and varlen.torchs() is not None:
        assert fused.kernels["attention"] == "on"
    assert fused.loss == pytest.approx(without.loss, rel=0.05)


def test_torchs_kernel_is_attention_a_conversation_at_a_time() -> None:
    kernel = varlen.torchs()
    if kernel is None:
        pytest.skip("this PyTorch has no kernel for conversations of many lengths")
    generator = torch.Generator("cuda").manual_seed(0)
    query = torch.randn(40, 4, 64, device="cuda", dtype=torch.bfloat16, generator=generator)
    shared = torch.randn(40, 2, 64, device="cuda", dtype=torch.bfloat16, generator=generator)
    ends = torch.tensor([0, 7, 30, 40], device="cuda", dtype=torch.int32)

    found = kernel(query, shared, shared, ends, 23, 0.1)

    torch.testing.assert_close(found, varlen.one_by_one(query, shared, shared, ends, 23, 0.1), rtol=0.02, atol=0.02)
