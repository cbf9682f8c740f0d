"""Killed at any moment, a bake leaves nothing half-written, and the next one gives the same bytes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.weights import workshop

pytestmark = pytest.mark.slow

SHAPE = {"hidden_size": 128, "intermediate_size": 512, "vocab_size": 2000}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks and SIGKILL; Windows has neither")
@pytest.mark.parametrize("kills", [8, pytest.param(100, marks=pytest.mark.soak)])
def test_kills_at_random_moments_change_no_byte(tmp_path: Path, root: Path, kills: int) -> None:
    trained = workshop.train(tmp_path, dtype="bfloat16", shape=SHAPE)
    workshop.merge_it(trained)

    done = subprocess.run(
        [sys.executable, "-m", "tests.weights.killed", str(tmp_path), "4", str(kills)],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split()[0] == str(kills)
