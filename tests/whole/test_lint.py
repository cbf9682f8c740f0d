"""The house's own rules: ruff is silent, mypy is silent, generated files are up to date."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.house import DOIT

PYTHON = [sys.executable, "-m"]


COMMANDS = {
    "ruff check": [*PYTHON, "ruff", "check", "--quiet", "."],
    "ruff format": [*PYTHON, "ruff", "format", "--check", "--quiet", "."],
    "mypy": [*PYTHON, "mypy", "--no-error-summary"],
    "schema": [*DOIT, "schema", "--check"],
}


@pytest.mark.slow  # `just check` is the quick way to it
@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_the_checkout_is_clean(root: Path, command: list[str]) -> None:
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True)

    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "" if "schema" not in command else ran.stdout)
