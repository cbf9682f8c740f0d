"""Conversations as token ids with marks on what is learned: the same ids that an engine makes of the rendered text.

Engines look for special tokens first and tokenise what lies between them.  So does this: special tokens come from
the structure alone, whatever a message spells, and the text between two of them is tokenised in one piece.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from so8t.formats import structure
from so8t.formats.chat import Segment

_SPACE = " \t\n\v\f\r"  # what llama.cpp strips at a token; transformers would take U+3000 too
_CHUNK = 512  # conversations for one call of the tokenizer


@dataclass(frozen=True)
class Encoded:
    ids: list[int]
    learned: list[bool]


@dataclass(frozen=True)
class _Text:
    """Text between two special tokens; `learned` from character `border` on (or before it, if `learned_first`)."""

    text: str
    border: int
    learned_first: bool


@dataclass(frozen=True)
class _Token:
    id: int
    learned: bool


class Encoder:
    """Bound to a tokenizer of transformers; a tokenizer that begins every text with BOS begins a conversation so."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = structure.marked(tokenizer)
        self._special = structure.names(tokenizer.added_tokens_decoder.values())
        self._split = re.compile("(" + "|".join(map(re.escape, sorted(self._special, key=len, reverse=True))) + ")")
        first = tokenizer("", add_special_tokens=True)["input_ids"][:1]
        self._bos = first if first == [tokenizer.bos_token_id] else []

    def __call__(self, segments: Sequence[Segment]) -> Encoded:
        return next(self.each([segments]))

    def each(self, conversations: Iterable[Sequence[Segment]]) -> Iterator[Encoded]:
        """In batches: a call costs more than a text."""
        arriving = iter(conversations)
        while chunk := [self._parts(segments) for segments in islice(arriving, _CHUNK)]:
            texts = [text for parts in chunk for part in parts if isinstance(part, _Text) for text in _asked(part)]
            ids = iter(self._ids(texts))
            for parts in chunk:
                yield self._assembled(parts, ids)

    def texts(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text as a message's: nothing in it is structure."""
        return [ids for start in range(0, len(texts), _CHUNK) for ids in self._ids(list(texts[start : start + _CHUNK]))]

    def _ids(self, texts: list[str]) -> list[list[int]]:
        if not texts:
            return []
        found: list[list[int]] = self._tokenizer(texts, add_special_tokens=False, split_special_tokens=True)[
            "input_ids"
        ]
        return found

    def _parts(self, segments: Sequence[Segment]) -> list[_Text | _Token]:
        parts: list[_Text | _Token] = []
        run: list[Segment] = []
        strip = False  # Phi-3's role tokens swallow the white space behind them
        for segment in segments:
            pieces = self._split.split(segment.text) if segment.structure and self._special else [segment.text]
            for piece in filter(None, pieces):
                token = self._special.get(piece) if segment.structure else None
                if token is None:
                    run.append(Segment(piece, segment.role, segment.structure, segment.learned))
                    continue
                parts += _texts(run, strip, token.lstrip)
                parts.append(_Token(self._tokenizer.convert_tokens_to_ids(piece), segment.learned))
                run, strip = [], token.rstrip
        return parts + _texts(run, strip, False)

    def _assembled(self, parts: Sequence[_Text | _Token], found: Iterator[list[int]]) -> Encoded:
        ids, learned = list(self._bos), [False] * len(self._bos)
        for part in parts:
            if isinstance(part, _Token):
                ids.append(part.id)
                learned.append(part.learned)
                continue
            first, whole, rest = (next(found) if asked else [] for asked in (part.border > 0, True, part.border > 0))
            # a token over the border would give the answer what the prompt ends with: then they are parted
            pieces = whole if whole[: len(first)] == first else first + rest
            ids += pieces
            learned += [part.learned_first] * len(first) + [not part.learned_first] * (len(pieces) - len(first))
        return Encoded(ids, learned)


def _asked(part: _Text) -> list[str]:
    """What the tokenizer is asked for: the text, and, where a border runs through it, both sides."""
    if not part.border:
        return [part.text]
    return [part.text[: part.border], part.text, part.text[part.border :]]


def _texts(run: Sequence[Segment], strip_left: bool, strip_right: bool) -> list[_Text | _Token]:
    """A run of pieces as texts with at most one border each."""
    pieces = [(segment.text, segment.learned) for segment in run]
    if strip_left:
        pieces = _stripped(pieces, lambda text: text.lstrip(_SPACE))
    if strip_right:
        pieces = _stripped(pieces[::-1], lambda text: text.rstrip(_SPACE))[::-1]
    made: list[_Text | _Token] = []
    while pieces:
        first_learned = pieces[0][1]
        head, pieces = _while(pieces, first_learned)
        tail, pieces = _while(pieces, not first_learned)
        # without a tail a border is missing, and all of it is as `not learned_first` says
        made.append(_Text(head + tail, len(head), first_learned) if tail else _Text(head, 0, not first_learned))
    return made


def _while(pieces: list[tuple[str, bool]], learned: bool) -> tuple[str, list[tuple[str, bool]]]:
    count = next((at for at, piece in enumerate(pieces) if piece[1] != learned), len(pieces))
    return "".join(text for text, _ in pieces[:count]), pieces[count:]


def _stripped(pieces: list[tuple[str, bool]], strip: Callable[[str], str]) -> list[tuple[str, bool]]:
    for at, (text, learned) in enumerate(pieces):
        if kept := strip(text):
            return [(kept, learned), *pieces[at + 1 :]]
    return []
