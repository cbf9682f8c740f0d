"""Which part of a conversation each token belongs to: the prompt, the thinking, the class, or the answer.

The conversation is read again, cut off at each border: where its tokens part from the whole ones, the next part begins.
So a token over a border belongs to the part that it ends in, and no tokenizer is asked where its tokens stand.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

from so8t.formats import chat
from so8t.formats import thinking as think
from so8t.formats.chat import ChatFormat, Message
from so8t.formats.encoding import Encoder
from so8t.formats.thinking import FormatError, ThinkingFormat

NAMES = ("prompt", "thinking", "class", "answer")


def following(messages: Sequence[Message], encoder: Encoder, fmt: ChatFormat, thinking: ThinkingFormat) -> list[str]:
    """For each token, the part of the one behind it, which it predicts; nothing is behind the last: its own."""
    found = sections(messages, encoder, fmt, thinking)
    return [*found[1:], *found[-1:]]


def sections(messages: Sequence[Message], encoder: Encoder, fmt: ChatFormat, thinking: ThinkingFormat) -> list[str]:
    """The part of each token; an answer that does not keep the format is one part."""
    *before, last = messages
    text = last["content"]
    cuts = borders(text, thinking) if last["role"] == "assistant" else ()
    talks = [messages, *([*before, {**last, "content": text[:cut]}] for cut in cuts)]
    whole, *begun = encoder.each(chat.segments(talk, fmt) for talk in talks)
    count = len(whole.ids)
    first = whole.learned.index(True) if any(whole.learned) else count
    starts = [max(first, _shared(whole.ids, one.ids)) for one in begun] or [first, first]
    ends = (first, *starts, count)
    return [name for name, start, end in zip(NAMES, (0, *ends), ends, strict=False) for _ in range(start, end)]


def borders(text: str, thinking: ThinkingFormat) -> tuple[int, ...]:
    """Where the name of the class begins and where it ends, in an answer that thinks first or a direct one.

    Without a class both are where the answer begins.
    """
    if not thinking.classed:
        return _before_answer(text, thinking)
    try:
        final, label = think.final_part(text, thinking), think.split(text, thinking).final.label
    except FormatError:
        try:
            final, label = text, think.split_final(text, thinking).label
        except FormatError:
            return ()
    key = thinking.fields[0].key
    start = len(text) - len(final) + final.index(key) + len(key)
    return start, start + len(label)


def _before_answer(text: str, thinking: ThinkingFormat) -> tuple[int, ...]:
    try:
        shown = think.final_part(text, thinking).removeprefix(thinking.parts[-1].open)
    except FormatError:
        return ()
    return (len(text) - len(shown),) * 2


def _shared(one: Sequence[int], other: Sequence[int]) -> int:
    """How many tokens both begin with."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
