"""A question put to a model as users put it: /api/chat, /api/generate and /v1, with thinking or not, part by part or
whole; no temperature is sent, so the model's own parameters hold, or what Ollama puts in their place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from so8t.errors import StageError
from so8t.ollama.client import Client

Door = Literal["/api/chat", "/api/generate", "/v1/chat/completions"]
Message = dict[str, str]


@dataclass(frozen=True)
class Way:
    """`think`: as in the request, None where it is left out; /v1 can turn it off alone."""

    door: Door
    think: bool | None
    stream: bool

    def __str__(self) -> str:
        thinks = "think left out" if self.think is None else f"think {str(self.think).lower()}"
        return f"{self.door}, {thinks}, {'stream' if self.stream else 'whole'}"


@dataclass(frozen=True)
class Reply:
    """What a client sees: both texts, and what ended the answer; nothing, where it broke off."""

    thinking: str
    content: str
    done_reason: str


def ask(server: Client, model: str, messages: Sequence[Message], way: Way) -> Reply:
    """One whole answer."""
    reply = hear(server, model, messages, way)
    if not reply.done_reason:
        raise StageError(f"ollama: the answer of {model} broke off before it was done")
    return reply


def hear(server: Client, model: str, messages: Sequence[Message], way: Way) -> Reply:
    """What comes, whole or broken off, as thirty equal tokens are; /api/generate takes the only message for its
    prompt."""
    body = {"model": model, "stream": way.stream, **_question(messages, way)}
    return _reply(server.parts(way.door, body) if way.stream else [server.asked(way.door, body)], way)


def _question(messages: Sequence[Message], way: Way) -> dict[str, Any]:
    if way.door == "/v1/chat/completions":
        return {"messages": list(messages), **({"reasoning_effort": "none"} if way.think is False else {})}
    thinks = {} if way.think is None else {"think": way.think}
    if way.door == "/api/chat":
        return {"messages": list(messages), **thinks}
    (message,) = messages
    return {"prompt": message["content"], **thinks}


def _reply(parts: Iterable[dict[str, Any]], way: Way) -> Reply:
    thinking, content, reason = [], [], ""
    for part in parts:
        said, ended = _said(part, way)
        thinking.append(str(said.get("thinking") or said.get("reasoning") or ""))
        content.append(str(said.get("content") or said.get("response") or ""))
        reason = str(ended or reason)
    return Reply("".join(thinking), "".join(content), reason)


def _said(part: dict[str, Any], way: Way) -> tuple[dict[str, Any], Any]:
    """Where a part holds its texts, and what ended the answer if it has ended."""
    if way.door == "/api/chat":
        return part.get("message", {}), part.get("done_reason")
    if way.door == "/api/generate":
        return part, part.get("done_reason")
    (choice,) = part.get("choices") or [{}]
    return choice.get("delta") or choice.get("message") or {}, choice.get("finish_reason")
