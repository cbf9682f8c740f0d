"""Replies on the wire: whole, or as server-sent events of either endpoint."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import orjson

from so8t.serve.door import report
from so8t.serve.policy import Reply
from so8t.serve.problem import Problem
from so8t.serve.service import Delta, Done, Opened

Events = AsyncIterator[Opened | Delta | Done]


def think_reply(done: Done) -> dict[str, Any]:
    if done.reply is None:
        raise _cut_off(done)
    cut = {"finish_reason": "length"} if done.cut else {}
    return {**_verdict(done.reply), "answer": done.reply.answer, "audit_id": done.audit_id, **cut}


def _cut_off(done: Done | Opened) -> Problem:
    return Problem("cut-off", audit_id=done.audit_id)


def _verdict(reply: Reply) -> dict[str, Any]:
    """Nothing, where the model names no class."""
    return {"class": reply.label, "confidence": reply.confidence, "reason": reply.reason} if reply.label else {}


def _extension(event: Done) -> dict[str, Any]:
    return {**(_verdict(event.reply) if event.reply else {}), "audit_id": event.audit_id}


def _finish(done: Done) -> str:
    return "length" if done.cut else "stop"


async def think_events(events: Events) -> AsyncIterator[bytes]:
    opened = False
    async for event in _safe(events):
        if isinstance(event, Problem):
            yield _event("problem", event.document())
        elif isinstance(event, Delta):
            yield _event("delta", {"text": event.text})
        elif event.reply is None:
            yield _event("problem", _cut_off(event).document())
        else:
            if not opened:
                yield _event("verdict", _verdict(event.reply))
                opened = True
            if isinstance(event, Done):
                if event.rest:
                    yield _event("delta", {"text": event.rest})
                yield _event("done", think_reply(event))


def completion(done: Done, model: str) -> dict[str, Any]:
    """Cut off before its answer began, it is an empty text that ended by length, as OpenAI's clients expect it."""
    answer = done.reply.answer if done.reply else ""
    message = {"role": "assistant", "content": answer, "refusal": None}
    whole = {
        **_head("chat.completion", done.audit_id, model),
        "choices": [{"index": 0, "message": message, "finish_reason": _finish(done), "logprobs": None}],
        "so8t": _extension(done),
    }
    return {**whole, "usage": _usage(done)} if done.answer_tokens is not None else whole


async def completion_events(events: Events, model: str, usage: bool) -> AsyncIterator[bytes]:
    """The first event of a stream is Opened or Done, for what fails before is not a stream."""
    head: dict[str, Any] = {}

    def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> bytes:
        return _data({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})

    async for event in _safe(events):
        if isinstance(event, Problem):
            yield _data(event.document())
            return
        if isinstance(event, Delta):
            yield chunk({"content": event.text})
            continue
        if not head:
            head = _head("chat.completion.chunk", event.audit_id, model)
            yield chunk({"role": "assistant", "content": ""})
        if isinstance(event, Done):
            if event.rest:
                yield chunk({"content": event.rest})
            yield chunk({}, _finish(event), so8t=_extension(event))
            if usage and event.answer_tokens is not None:
                yield _data({**head, "choices": [], "usage": _usage(event)})
            yield b"data: [DONE]\n\n"


async def _safe(events: Events) -> AsyncIterator[Opened | Delta | Done | Problem]:
    """Once a stream has begun, a failure is its last event."""
    try:
        async for event in events:
            yield event
    except Problem as problem:
        yield problem
    except Exception as error:
        report(error)
        yield Problem("internal")


def _usage(done: Done) -> dict[str, int]:
    answer = done.answer_tokens or 0
    total = done.prompt_tokens + answer
    return {"prompt_tokens": done.prompt_tokens, "completion_tokens": answer, "total_tokens": total}


def _head(kind: str, audit_id: str, model: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{audit_id}", "object": kind, "created": int(time.time()), "model": model}


def _event(name: str, value: dict[str, Any]) -> bytes:
    return b"event: " + name.encode() + b"\n" + _data(value)


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(value) + b"\n\n"
