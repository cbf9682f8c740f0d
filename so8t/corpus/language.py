"""How much of a text is Japanese, counted in letters: digits, marks, spaces and emoji take no side."""

from __future__ import annotations

import re
from dataclasses import dataclass

_KANA = re.compile("[ぁ-ゖゝゞァ-ヺーヽヾㇰ-ㇿｦ-ﾟ]+")
_HAN = re.compile("[々〆〇㐀-䶿一-鿿\uf900-\ufaff\U00020000-\U0003ffff]+")
_LETTER = re.compile(r"[^\W\d_]+")


@dataclass(frozen=True)
class Share:
    """Letters of a text by script; `japanese` and `kana` are shares between 0 and 1."""

    letters: int
    japanese: float
    kana: float


def is_plain(text: str, japanese: float, kana: float) -> bool:
    """Whether both shares are reached for sure: the kana alone are so many among all characters."""
    return bool(text) and _count(_KANA, text) / len(text) >= max(japanese, kana)


def measure(text: str) -> Share:
    """Japanese letters over all letters, and kana over Japanese letters: Chinese has kanji and no kana."""
    kana = _count(_KANA, text)
    japanese = kana + _count(_HAN, text)
    letters = max(_count(_LETTER, text), japanese)
    return Share(letters, japanese / letters if letters else 0.0, kana / japanese if japanese else 0.0)


def _count(pattern: re.Pattern[str], text: str) -> int:
    return len("".join(pattern.findall(text)))
