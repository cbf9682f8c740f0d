"""One chat format, three engines: the tokens of every conversation, as each engine makes them.

    training     the segments, tokenised as the training does it
    pieces       the same segments through llama.cpp's tokenizer: how our own evaluation and server call it
    embedded     the GGUF's own Jinja template, rendered, then tokenised as one text
    template     Ollama's TEMPLATE, rendered, then tokenised as one text
A rendered text cannot say which of its role tokens a message spelt: there such conversations are compared as a
careful client sends them, with a backslash in every role token.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from so8t.errors import StageError
from so8t.formats import chat, goeval, suite
from so8t.formats.chat import ChatFormat, Segment
from so8t.formats.encoding import Encoder
from so8t.formats.suite import Conversation, Message
from so8t.formats.thinking import ThinkingFormat

AROUND = 3  # tokens shown on either side of a difference
View = Callable[[Sequence[Message]], list[int]]


class Engine(Protocol):
    """What is asked of so8t.gguf.llamacpp.Model."""

    metadata: dict[str, str]

    @property
    def template(self) -> str: ...

    def tokenize(self, text: str, special: bool) -> list[int]: ...

    def piece(self, number: int, special: bool = False) -> bytes: ...


@dataclass(frozen=True)
class Formats:
    chat: ChatFormat
    thinking: ThinkingFormat

    def segments(self, messages: Sequence[Message]) -> list[Segment]:
        return chat.segments(suite.trained(messages, self.thinking), self.chat, generation_prompt=True)


def training(tokenizer: Any, formats: Formats) -> View:
    """`tokenizer` is transformers'."""
    encoder = Encoder(tokenizer)
    return lambda messages: encoder(formats.segments(messages)).ids


def pieces(engine: Engine, tokenizer: Any, formats: Formats) -> View:
    encoder = Encoder(_Lent(engine, tokenizer))
    return lambda messages: encoder(formats.segments(messages)).ids


def embedded(engine: Engine, formats: Formats) -> View:
    render = _jinja(engine.template)
    return lambda messages: _whole(engine, render(suite.trained(messages, formats.thinking)))


def template(engine: Engine, text: str, formats: Formats, splits: bool = True) -> View:
    """`splits`: Ollama's clients hold thinking and content apart; else they hold what the model wrote."""
    if splits:
        return lambda messages: _whole(engine, goeval.render(text, messages, think=True))
    return lambda messages: _whole(engine, goeval.render(text, suite.trained(messages, formats.thinking)))


def check_markers(engine: Engine, thinking: ThinkingFormat) -> None:
    """Markers are text to the engine: a control token would not be printed, and the thinking would run together."""
    for marker in thinking.markers:
        ids = engine.tokenize(marker, False)
        printed = b"".join(map(engine.piece, ids)).decode("utf-8", "replace")
        if ids != engine.tokenize(marker, True) or printed.removeprefix(" ") != marker:  # some read a space before it
            raise StageError(
                f"chat format: {marker} is a control token in the GGUF, which no engine prints; "
                "add the markers to the tokenizer with special=False"
            )


def check(views: Mapping[str, View], formats: Formats, engine: Engine) -> int:
    """Every view gives the first one's ids for every conversation, or a StageError says where it does not.

    The views called `training` and `pieces` get role tokens as they are, too.  Returns the number of conversations.
    """
    conversations = suite.conversations(formats.thinking)
    for conversation in conversations:
        _check(views, conversation, suite.inert(conversation.messages, formats.thinking), engine)
        if conversation.spells_roles:
            exact = {name: view for name, view in views.items() if name in ("training", "pieces")}
            _check(exact, conversation, conversation.messages, engine)
    return len(conversations)


def _check(views: Mapping[str, View], conversation: Conversation, messages: Sequence[Message], engine: Engine) -> None:
    found = {name: view(messages) for name, view in views.items()}
    for name, ids in found.items():
        first, expected = next(iter(found.items()))
        if ids != expected:
            at = next(
                (at for at, (one, other) in enumerate(zip(expected, ids, strict=False)) if one != other),
                min(len(expected), len(ids)),
            )
            raise StageError(
                f"chat format: conversation {conversation.name!r} has other tokens in {name} than in {first}, "
                f"from token {at} on:\n"
                + "".join(
                    f"  {each}: {_shown(engine, which, at)}\n" for each, which in ((first, expected), (name, ids))
                )
                + "every engine must read what the training wrote: compare the templates and the vocabulary"
            )


def _shown(engine: Engine, ids: Sequence[int], at: int) -> str:
    """`... 〈31 "は"〉 [32 "？"] ...`: the tokens around a position, the one there in brackets."""

    def token(place: int) -> str:
        text = json.dumps(engine.piece(ids[place], True).decode("utf-8", "backslashreplace"), ensure_ascii=False)
        return f"[{ids[place]} {text}]" if place == at else f"{ids[place]} {text}"

    places = range(max(0, at - AROUND), min(len(ids), at + AROUND + 1))
    return ", ".join(map(token, places)) + ("" if at < len(ids) else " [the end]")


def _whole(engine: Engine, text: str) -> list[int]:
    """A rendered prompt as llama.cpp's server and Ollama tokenise it."""
    asked = engine.metadata.get("tokenizer.ggml.add_bos_token") == "true"
    bos = [int(engine.metadata["tokenizer.ggml.bos_token_id"])] if asked else []
    return bos + engine.tokenize(text, True)


def _jinja(text: str) -> Callable[[Sequence[Message]], str]:
    """Rendered as transformers and llama.cpp do it: a sandbox, blocks without the line ends behind them."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise StageError(f"chat format: the GGUF's template refuses a conversation: {message}")

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = refuse
    template = environment.from_string(text)
    return lambda messages: template.render(messages=messages, add_generation_prompt=True)


class _Lent:
    """An engine in the place of transformers' tokenizer, which still tells which tokens are special."""

    def __init__(self, engine: Engine, tokenizer: Any) -> None:
        self._engine = engine
        self.added_tokens_decoder = tokenizer.added_tokens_decoder
        self.bos_token_id = tokenizer.bos_token_id

    def __call__(self, texts: str | Iterable[str], **options: Any) -> dict[str, Any]:
        if isinstance(texts, str):
            return {"input_ids": _whole(self._engine, texts)}
        return {"input_ids": [self._engine.tokenize(text, False) for text in texts]}

    def convert_tokens_to_ids(self, token: str) -> int:
        ids = self._engine.tokenize(token, True)
        if len(ids) != 1:
            raise StageError(f"chat format: {token} is {len(ids)} tokens in the GGUF, but one in the training")
        return ids[0]
