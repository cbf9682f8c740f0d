"""What runs a model: prompts in, bytes of output out.  Everything else in this room knows only this.

`prepare` and `generate` block and are called in a thread of their own.
Role tokens and tags in a message are text: a backend gets the conversation in pieces, structure and content apart,
and contents without anything that is structure.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from so8t.formats import chat
from so8t.formats import thinking as think
from so8t.formats.chat import ChatFormat, Message, Segment
from so8t.formats.thinking import ThinkingFormat

Emit = Callable[[bytes], None]


class Failed(Exception):
    """The model could not be run.  The message goes to the operator's log, never to a client."""


class TooLong(Exception):
    """The backend says itself that a prompt does not fit."""


@dataclass(frozen=True)
class Prompt:
    tokens: int
    content: Any  # the backend's own


@dataclass(frozen=True)
class Ended:
    """How an output ended: by itself, or at the most tokens; and the digest of the model that wrote it."""

    reason: Literal["stop", "length"]
    digest: str


class Backend(Protocol):
    name: str
    digest: str  # of the model as it was last seen, for the audit log
    slots: int
    context: int  # tokens of prompt and output together: no more than the model was made for

    def check(self) -> None:
        """Failed where a question would not be answered now."""
        ...

    def prepare(self, pieces: Sequence[Segment]) -> Prompt: ...

    def generate(self, prompt: Prompt, most: int, cancel: threading.Event, emit: Emit) -> Ended:
        """Emit the output in pieces of any size, up to the stop token, which is not part of it."""
        ...

    def count(self, text: str) -> int | None:
        """The tokens of a text, where the backend can tell; at once, and whatever else is under way."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class PromptWriter:
    """How messages become a prompt: the same declaration that the model was trained with."""

    chat: ChatFormat
    thinking: ThinkingFormat
    system: str

    def pieces(self, messages: Sequence[Message]) -> list[Segment]:
        own = [{"role": "system", "content": self.system}] if self.system else []
        return chat.segments([*own, *map(self._inert, messages)], self.chat, generation_prompt=True)

    def _inert(self, message: Message) -> dict[str, str]:
        """Tags are tokens of their own even in plain text, so that an exact one gets its backslash; an earlier answer
        stands in a final part, as it does in training."""
        content = think.inert(message["content"], self.thinking)
        if message["role"] == "assistant":
            content = think.wrap_final(content, self.thinking)
        return {"role": message["role"], "content": content}


def declared(declaration: dict[str, Any]) -> PromptWriter:
    """From chat_format.json."""
    return PromptWriter(
        chat.from_json(declaration["chat"]), think.from_json(declaration["thinking"]), declaration["system"]
    )
