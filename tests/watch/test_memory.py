"""Out of memory is a message with the settings to lower."""

from __future__ import annotations

import pytest
import torch

from so8t.errors import StageError
from so8t.train.settings import Train
from so8t.watch import memory


def test_the_settings_that_leave_the_checkpoint_valid_come_first() -> None:
    assert memory.advice(
        Train(batch=16, micro_batch=4, sequence=2048), "int8", "CUDA out of memory. Tried 2 GiB\nx"
    ) == (
        "adapter: out of memory: CUDA out of memory. Tried 2 GiB\n"
        "first change train.micro_batch (now 4) or train.gradient_checkpointing (now false): "
        "doit then goes on from the last checkpoint, which is kept\n"
        "else change quantise (now int8: nf4), train.sequence (now 2048), lora.r: that starts anew"
    )
    assert memory.advice(Train(micro_batch=1, gradient_checkpointing=True), "nf4", "") == (
        "adapter: out of memory: no memory left\nchange train.sequence (now 2048), lora.r"
    )


def test_a_real_allocation_that_fails_is_explained() -> None:
    with pytest.raises(StageError, match=r"^adapter: out of memory: .*allocate"), memory.explained(Train(), "none"):
        torch.empty(2**60)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"), memory.explained(Train(), "none"):
        torch.ones(2, 3) @ torch.ones(2, 3)
