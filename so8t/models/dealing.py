"""Among how many processes lanes are dealt; pure, and without torch, for plans ask it, too."""

from __future__ import annotations


def most(lanes: int, room: int) -> int:
    """The largest number that the lanes divide into, and for which there is room."""
    return max(n for n in range(1, lanes + 1) if lanes % n == 0 and n <= room)
