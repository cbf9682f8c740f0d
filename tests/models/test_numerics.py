"""Arithmetic settings are a loan."""

from __future__ import annotations

import torch

from so8t.models.numerics import deterministic


def settings() -> tuple[int, bool, str]:
    return (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
    )


def test_threads_precision_and_the_deterministic_mode_are_put_back() -> None:
    before = settings()
    with deterministic(1, matmul="medium"):
        assert settings() == (1, True, "medium")
    with deterministic(1, torch.device("cuda")):
        assert settings() == (1, False, "highest")
    assert settings() == before
