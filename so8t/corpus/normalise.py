"""Text as this project stores it: NFKC with care for Japanese, and nothing invisible but what emoji need.

Folded: half-width katakana with their marks (ﾊﾟ -> パ), full-width ASCII (Ａ１＠ -> A1@), ㈱ -> (株), ㍻ -> 平成,
℃ -> °C, Kangxi radicals, ligatures, mathematical letters; ～ (U+FF5E) becomes the wave dash 〜 (U+301C), never "~".
U+3000 becomes one ordinary space, wherever it stands; runs of spaces stay, for they may be code.

Protected from NFKC, because it would change what a reader sees or means:
    … ‥ ‼ ⁉                     become full stops and marks of another width
    ① ⑴ ⒈ Ⓜ ㋐ ㊤ ㊙ 🈁 ℹ       lose the frame and run into their neighbours (①1個 -> 11個); half of them are emoji
    ² ³ ½ ⅓ ₂ ª º ㎡ ㎥         10² -> 102, 1½ -> 11⁄2, 10㎡ -> 10m2
    ™ ℠                         become letters of the word before
    ´ ¨ ¯ ￣ ‾ ゛ ゜             become a space and a combining mark: (´・ω・`) falls apart
    神 福 (U+F900.., U+2F800..)   compatibility ideographs: the glyph that a person's name is written with
and, by choice of the spec, the full-width marks of Japanese sentences: ！ ？ （ ）.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

_PROTECTED = (
    "\u2025\u2026\u203c\u2049"
    "\u2460-\u24ff\u3250-\u325f\u3280-\u32bf\u32d0-\u32fe\U0001f100-\U0001f2ff\u2139"
    "\u00aa\u00b2\u00b3\u00b9\u00ba\u00bc-\u00be\u2070-\u209f\u2150-\u215f\u2189\u339f-\u33a6\u33a8\u33af"
    "\u2120\u2122"
    "\u00a8\u00af\u00b4\u00b8\u02d8-\u02dd\u2017\u203e\u309b\u309c\uffe3\ufe49-\ufe4f"
    "\uf900-\ufaff\U0002f800-\U0002fa1f"
)
_EMOJI = "\u2190-\u21ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"

_BREAKS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_JUNK = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164\ufdd0-\ufdef\ufeff\uffa0\ufff0-\ufffb\ufffe\uffff]"
)
# A flag such as that of Scotland is a black flag and tag letters; tags anywhere else are hidden text.
_TAGS = re.compile("(\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{1,6}\U000e007f)|[\U000e0000-\U000e007f]+")
_JOINER = re.compile(f"(?<![{_EMOJI}\ufe0f\U000e007f])\u200d|\u200d(?![{_EMOJI}])")
# One selector may follow a visible character; more than one carries hidden bytes.
_SELECTOR = re.compile(
    "(?:(?<=\\s)|(?<=[\ufe00-\ufe0f\U000e0100-\U000e01ef\u200d])|^)[\ufe00-\ufe0f\U000e0100-\U000e01ef]+"
)
_SUSPECT = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ufdd0-\ufdef\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff"
    "\U000e0000-\U000e01ef]"
)
_LINE_END = re.compile(r"[^\S\n]+(?=\n)")


def normalise(text: str, keep: str = "！？（）") -> str:
    """The text in its stored form; `keep` are further characters that NFKC must leave alone."""
    if _SUSPECT.search(text):
        text = remove_invisible(text)
    if not unicodedata.is_normalized("NFKC", text):
        text = _folder(keep)(text)
    if "\n" in text:
        text = _LINE_END.sub("", text)
    return text.strip()


def remove_invisible(text: str) -> str:
    """Line breaks as LF; no control, bidi or zero-width characters, save those that hold an emoji together."""
    text = _BREAKS.sub("\n", text)
    text = _JUNK.sub("", text)
    text = _TAGS.sub(lambda match: match[1] or "", text)
    text = _JOINER.sub("", text)
    return _SELECTOR.sub("", text)


@lru_cache(maxsize=8)
def _folder(keep: str) -> Callable[[str], str]:
    kept = "".join(map(re.escape, keep))
    foldable = re.compile(f"[^{_PROTECTED}{kept}]+")

    def fold(text: str) -> str:
        text = text.replace("～", "〜")
        return foldable.sub(lambda run: unicodedata.normalize("NFKC", run[0]), text)

    return fold
