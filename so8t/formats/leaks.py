"""What of a model's thinking stands in a text that is shown: a marker of the format, or a sentence of the thinking."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from so8t.formats import thinking as think
from so8t.formats.thinking import ThinkingFormat

SHORTEST = 5  # characters of a sentence that is nobody's by chance
_ENDS = re.compile(r"[。！？!?\n]+")


def leak(shown: str, fmt: ThinkingFormat, thoughts: Iterable[str] = ()) -> str | None:
    """The first that is found; None where nothing has leaked."""
    found = [marker for marker in fmt.markers if marker in shown]
    return next(iter([*found, *(sentence for sentence in thoughts if sentence in shown)]), None)


def thoughts(answer: str, fmt: ThinkingFormat) -> list[str]:
    """The sentences that stand in an answer's inner parts and not in its final one."""
    said = think.read(answer, fmt)
    return [sentence for text in said.inner for sentence in _sentences(text) if sentence not in said.shown]


def _sentences(text: str) -> Iterator[str]:
    return (sentence for each in _ENDS.split(text) if len(sentence := each.strip()) >= SHORTEST)
