"""What every file of a drafted profile is made from: the data, the base, and what follows from both."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass

from so8t.drafts.base import Base
from so8t.drafts.data import Data

_BARE = re.compile(r"[A-Za-z0-9_./-]*[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS = ("true", "false", "null", "yes", "no", "on", "off")
LARGE = 1_000_000_000  # parameters from which a base is held in 8 bits
_HELD_OUT = 30  # conversations that a split should have
_THINKING = 120  # tokens of a thinking and of an answer's frame, about
Line = tuple[str, str]  # what stands there, and why


@dataclass(frozen=True)
class Draft:
    """What every file is made from."""

    name: str
    data: Data
    base: Base

    @property
    def task(self) -> str:
        return "four_class" if self.data.labelled >= 0.5 else "chat"

    @property
    def own(self) -> bool:
        """Whether the base is the user's."""
        return self.base.kind != "tiny"

    @property
    def share(self) -> float:
        """Of each held-out split."""
        return round(min(0.2, max(0.05, _HELD_OUT / self.data.count)), 2)

    @property
    def held_out(self) -> int:
        return max(1, int(self.data.count * self.share))

    @property
    def sequence(self) -> int:
        """Tokens of a row, at a token a character, in steps of 64."""
        return min(2048, max(256, 64 * math.ceil((self.data.record + 2 * _THINKING) / 64)))

    @property
    def answer(self) -> int:
        return min(1024, max(160, 32 * math.ceil((self.data.answer + _THINKING) / 32)))


def text(value: str) -> str:
    """A string as YAML has it."""
    plain = _BARE.fullmatch(value) and value.lower() not in _WORDS
    return value if plain else json.dumps(value, ensure_ascii=False)
