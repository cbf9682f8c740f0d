"""The house's own rules: ruff is silent, mypy is silent, generated files are up to date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import DOIT

PYTHON = [sys.executable, "-m"]


@pytest.mark.parametrize(
    "command",
    [
        [*PYTHON, "ruff", "check", "--quiet", "."],
        [*PYTHON, "ruff", "format", "--check", "--quiet", "."],
        [*PYTHON, "mypy", "--no-error-summary"],
        [*DOIT, "schema", "--check"],
    ],
    ids=["ruff check", "ruff format", "mypy", "schema"],
)
def test_the_checkout_is_clean(root: Path, command: list[str]) -> None:
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True)

    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "" if "schema" not in command else ran.stdout)
