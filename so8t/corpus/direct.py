"""Which records the training shows a second time, as direct answers: a function of a record's id alone."""

from __future__ import annotations

from hashlib import blake2b

SPLITS = ("train", "validation")  # others are held out, and asked both ways as they are


class Choice:
    """A larger share takes all records of a smaller one, and some more; it has nothing to do with the splits' hash."""

    def __init__(self, share: float) -> None:
        self._below = round(share * (1 << 64))

    def __call__(self, number: str, split: str) -> bool:
        if split not in SPLITS:
            return False
        return int.from_bytes(blake2b(f"direct {number}".encode(), digest_size=8).digest(), "big") < self._below
