"""Fixtures of this room."""

from __future__ import annotations

import pytest

from tests.house import House
from tests.runs.project import make


@pytest.fixture
def project(house: House) -> House:
    return make(house)
