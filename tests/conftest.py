"""Fixtures that every room uses."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.house import House

ROOT = Path(__file__).resolve().parent.parent

# Containers like to set it, and then a thousand child processes compile the same modules.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
