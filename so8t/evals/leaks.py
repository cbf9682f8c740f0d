"""Thinking where only an answer should stand: what of it the visible part of an answer holds.  Pure.

Looked for are tags, every sentence of the record's own thinking, and every sentence that any thinking of the training
has.  A sentence that a right answer says, too, gives nothing away: it is left out, and counted.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from so8t.formats import capability, direct, gotemplate
from so8t.formats import thinking as think
from so8t.formats.thinking import Said, ThinkingFormat

LEAST = 4  # characters of a sentence: shorter ones, such as なし, stand in any text
_ENDS = re.compile(r"[。！？!?\n]+|\.(?=\s|$)")


def sentences(said: Said) -> set[str]:
    """Of the inner parts, without what ends them."""
    found = {sentence.strip() for part in said.inner for sentence in _ENDS.split(part)}
    return {sentence for sentence in found if len(sentence) >= LEAST}


class Watch:
    """`learned` is what the training wrote, `asked` what the records that are asked would have had it write."""

    def __init__(self, fmt: ThinkingFormat, learned: Iterable[Said], asked: Iterable[Said]) -> None:
        self._fmt = fmt
        taught = list(learned)
        right = [*taught, *asked]
        thoughts = _Sentences(set().union(*map(sentences, right)))
        self._said = {found for one in right for found in thoughts.within(one.shown)}
        known = set().union(*map(sentences, taught))
        self._taught = _Sentences(known - self._said)
        self.figures: dict[str, Any] = {"sentences": len(known - self._said), "said_in_answers": len(self._said)}

    def leaks(self, own: Said, visible: str) -> tuple[str, ...]:
        """What it finds: tags first, then the record's own sentences, then others; each once."""
        text = think.active(visible, self._fmt)
        mine = (sentence for sentence in sorted(sentences(own) - self._said) if sentence in text)
        return tuple(dict.fromkeys([*think.structure(visible, self._fmt), *mine, *self._taught.within(text)]))


def visible(text: str, fmt: ThinkingFormat, directly: bool) -> str:
    """What Ollama's clients see as content of an answer, closing tag aside: with thinking on, what it leaves there."""
    if directly or not fmt.thinks:
        shown = text.removeprefix(direct.prefill(fmt))
    else:
        shown = capability.separate(text, (gotemplate.opening(fmt).strip(), fmt.closing.strip())).content
    return shown.removesuffix(fmt.parts[-1].close)


class _Sentences:
    """Many of them, found in one walk along a text: by how they begin."""

    def __init__(self, known: Iterable[str]) -> None:
        self._by_beginning: defaultdict[str, list[str]] = defaultdict(list)
        for sentence in sorted(known):
            self._by_beginning[sentence[:LEAST]].append(sentence)

    def within(self, text: str) -> Iterator[str]:
        for at in range(len(text) - LEAST + 1):
            for sentence in self._by_beginning.get(text[at : at + LEAST], ()):
                if text.startswith(sentence, at):
                    yield sentence
