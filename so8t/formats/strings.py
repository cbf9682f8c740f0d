"""Seeded texts of many kinds, on which a tokenizer and llama.cpp must agree."""

from __future__ import annotations

import random
import unicodedata
from collections.abc import Callable, Iterator

from so8t.formats.thinking import ThinkingFormat

_WORDS = (
    "営業時間",
    "東京都",
    "ﾊﾝｶｸ",
    "カタカナ",
    "を",
    "です。",
    "𠮷野家",
    "（株）",
    "令和８年",
    "　",
    "々",
    "ゎ",
    "㍿",
    "髙",
)
_FACES = ("😀", "👍🏽", "👨‍👩‍👧‍👦", "🇯🇵", "❤️", "1️⃣", "🏳️‍🌈", "🫠", "☺", "♨️")
_SCRIPTS = ((0x20, 0x7E), (0xC0, 0x24F), (0x370, 0x3FF), (0x400, 0x4FF), (0x5D0, 0x5EA), (0x621, 0x64A))
_FAR = ((0x905, 0x939), (0xE01, 0xE2E), (0x1100, 0x1112), (0x3041, 0x30FE), (0x4E00, 0x9FFF), (0xAC00, 0xD7A3))
_SPACES = (" ", "  ", "\n", "\n\n", "\r\n", "\t", " \n ", "\u00a0", "\u2003", "\u200b", "\u3000", "\ufeff", "\u2028")
_MARKS = ("\u3099", "\u0301", "\u093f", "\u0941", "\u0e31", "\u064b")  # they change the letter before them
_TAGS = ("<|end|>", "<|user|>", "<|im_start|>", "</s>", "<s>", "<bos>", "[INST]", "<think>", "</think>", "<tool_call>")
_ODD_TAGS = ("<|", "|>", "</", "<|END|>", "<end_of_turn>", "<|eot_id|>", "<0x0A>", "▁", "▁▁", "Ġ", "<unk>", "＜final＞")

Choose = Callable[[random.Random], str]
NAMED = (  # kinds of text that a spec may let engines read in two ways; Japanese is not one of them
    "combining_marks",
    "control_characters",
    "decomposed",
    "emoji",
    "mixed_scripts",
    "numbers_and_code",
    "sentencepiece_spaces",
    "tag_look_alikes",
    "white_space",
    "white_space_at_ends",
)


def kinds(thinking: ThinkingFormat) -> dict[str, Choose]:
    tags = (*_TAGS, *_ODD_TAGS, *thinking.markers)
    return {
        "japanese": lambda dice: dice.choice(_WORDS) if dice.random() < 0.6 else _letter(dice, ((0x3041, 0x30FE),)),
        "emoji": lambda dice: dice.choice((*_FACES, "です", " ok ")),
        "mixed_scripts": lambda dice: _letter(dice, _SCRIPTS + _FAR) * dice.choice((1, 1, 2)),
        "white_space": lambda dice: dice.choice((*_SPACES, "字", "word", "5")),
        "control_characters": lambda dice: dice.choice((chr(dice.randrange(1, 32)), "\x7f", "\x85", "あ", "b", " ")),
        "combining_marks": lambda dice: _letter(dice, _FAR) + dice.choice(_MARKS),
        "tag_look_alikes": lambda dice: dice.choice((*tags, "と", " a", "\n")),
        "numbers_and_code": lambda dice: dice.choice(
            ("123", "4567890", "３", ".", "if(a<b){", "'ll", "__", "  ", "\n")
        ),
    }


def strings(thinking: ThinkingFormat, count: int, seed: int) -> Iterator[tuple[str, str]]:
    """`count` kinds and texts; the same for the same seed."""
    dice, choices = random.Random(seed), kinds(thinking)
    for number in range(count):
        kind = list(choices)[number % len(choices)]
        text = "".join(choices[kind](dice) for _ in range(dice.randrange(1, 16)))
        yield _kind(text) or kind, text


def _kind(text: str) -> str:
    """What a text is first of all, whatever it was made for."""
    if unicodedata.normalize("NFC", text) != text:
        return "decomposed"
    if "▁" in text:
        return "sentencepiece_spaces"
    return "white_space_at_ends" if text != text.strip() else ""


def _letter(dice: random.Random, ranges: tuple[tuple[int, int], ...]) -> str:
    first, last = dice.choice(ranges)
    return chr(dice.randrange(first, last + 1))
