"""Sizes as people write them."""

from __future__ import annotations

import pytest

from so8t.spec.settings import size


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        (0, 0),
        (12, 12),
        ("12", 12),
        ("12B", 12),
        ("1KiB", 1024),
        ("1kB", 1000),
        ("64 MiB", 67108864),
        ("20GiB", 21474836480),
        ("1.5GB", 1500000000),
        ("2TiB", 2199023255552),
        ("0.1TB", 100000000000),
    ],
)
def test_a_size_is_a_number_of_bytes(written: object, amount: int) -> None:
    assert size(written) == amount


@pytest.mark.parametrize("written", ["", "x", "20 gigs", "-1", -1, 1.5, True, None, "1e9", "20GiBs", "１GiB"])
def test_anything_else_is_no_size(written: object) -> None:
    with pytest.raises(ValueError, match=r"^must be a size such as 20GiB, or a number of bytes \(got "):
        size(written)
