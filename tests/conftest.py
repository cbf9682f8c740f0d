"""Fixtures that every room uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.house import House

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
