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
SOAKED = {"mypy"}  # over tests and benchmarks it takes twice the time of the code alone
ROWS = [
    *(pytest.param(each, id=name, marks=[pytest.mark.soak] * (name in SOAKED)) for name, each in COMMANDS.items()),
    pytest.param([*COMMANDS["mypy"], "dodo.py", "so8t", "stages"], id="mypy of the code"),
]


@pytest.mark.slow  # `just check` is the quick way to it
@pytest.mark.parametrize("command", ROWS)
def test_the_checkout_is_clean(root: Path, command: list[str]) -> None:
    ran = subprocess.run(command, cwd=root, capture_output=True, text=True)

    assert (ran.returncode, ran.stdout + ran.stderr) == (0, "" if "schema" not in command else ran.stdout)
