"""A base's own Jinja template, rendered as transformers does it, beside what the declared format writes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

from so8t.errors import StageError
from so8t.formats import chat, suite
from so8t.formats.chat import ChatFormat, Message
from so8t.formats.suite import Conversation
from so8t.formats.thinking import ThinkingFormat

Write = Callable[[Sequence[Message]], str]
AROUND = 24  # characters shown on either side of a difference


class Refused(Exception):
    """The template cannot write this conversation; it says why."""


def own(tokenizer: Any) -> Write:
    """Without a BOS that the tokenizer writes itself; the prompt for an answer follows a user's message."""
    begin = tokenizer.bos_token if begins(tokenizer) else ""

    def write(messages: Sequence[Message]) -> str:
        try:
            text: str = tokenizer.apply_chat_template(list(messages), tokenize=False, add_generation_prompt=True)
        except Exception as error:  # what a template can raise is the template's own affair
            raise Refused(f"{type(error).__name__}: {error}") from error
        return text.removeprefix(begin)

    return write


def begins(tokenizer: Any) -> bool:
    """Whether the tokenizer itself begins every text with BOS."""
    first = tokenizer("", add_special_tokens=True)["input_ids"][:1]
    return bool(first) and first == [tokenizer.bos_token_id]


def check(write: Write, fmt: ChatFormat, thinking: ThinkingFormat, accepted: Collection[str] = ()) -> dict[str, str]:
    """Every usual conversation is written alike, or a StageError shows the first that is not.

    Gives the differences of conversations of an accepted kind.
    """
    differences = {}
    for conversation in filter(is_usual, suite.conversations(thinking)):
        found = difference(write, conversation, fmt, thinking)
        if found and conversation.kind not in accepted:
            raise StageError(
                f"chat format: the base's own template writes conversation {conversation.name!r} "
                f"otherwise than the declared format {fmt.name}\n{found}\n"
                "declare the format that the base was trained with (chat in thinking_sft.yaml)"
                + (
                    ", or history: dropped, if it leaves thinking out of earlier answers"
                    * _thought(conversation, thinking)
                )
                + (f", or accept {conversation.kind} (in chat_format.yaml)" if conversation.kind else "")
            )
        if found:
            differences[conversation.name] = found
    return differences


def _thought(conversation: Conversation, thinking: ThinkingFormat) -> bool:
    """Whether an earlier answer of it thinks."""
    return thinking.history and any("thinking" in message for message in conversation.messages)


def difference(write: Write, conversation: Conversation, fmt: ChatFormat, thinking: ThinkingFormat) -> str:
    """Two lines that show where the texts part; nothing if they are equal."""
    messages = suite.trained(suite.inert(conversation.messages, thinking), thinking)
    declared = chat.render(messages, fmt, generation_prompt=True)
    try:
        found = write(messages)
    except Refused as refused:
        return f"  declared: {declared[:AROUND]!r}\n  own:      refuses: {refused}"
    if found == declared:
        return ""
    at = next((at for at, pair in enumerate(zip(declared, found, strict=False)) if len(set(pair)) > 1), None)
    at = min(len(declared), len(found)) if at is None else at
    part = slice(max(0, at - AROUND), at + AROUND)
    return f"  declared: {declared[part]!r}\n  own:      {found[part]!r} (from character {at} on)"


def is_usual(conversation: Conversation) -> bool:
    """What every template is made for: perhaps a system's message, then users and answers in turn, a user last.

    Of everything else the rules are Ollama's, and templates do as they like.
    """
    roles = [message["role"] for message in conversation.messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    in_turn = all(role == ("user", "assistant")[at % 2] for at, role in enumerate(turns))
    return in_turn and len(turns) % 2 == 1 and all(message["content"] for message in conversation.messages)
