"""Which records the training shows a second time, as direct answers: a function of a record's id alone."""

from __future__ import annotations

from hashlib import blake2b

SPLITS = ("train", "validation")  # others are held out, and asked both ways as they are


class Choice:
    """A larger share takes all records of a smaller one, and some more; choices of other names are independent."""

    def __init__(self, share: float, name: str = "direct") -> None:
        self._below, self._name = round(share * (1 << 64)), name

    def __call__(self, number: str, split: str) -> bool:
        if split not in SPLITS:
            return False
        digest = blake2b(f"{self._name} {number}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") < self._below
