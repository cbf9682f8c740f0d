"""The outermost layer: who and what comes in, and that nothing of the inside goes out with an error.

Plain ASGI, because it must see every byte: bodies are counted while they arrive, and an exception of whatever kind
becomes a problem document and a log line with its type and place, never with its text.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from contextlib import suppress
from typing import Any

import orjson

from so8t.serve.limits import Tokens
from so8t.serve.metrics import Metrics
from so8t.serve.problem import MEDIA_TYPE, Problem

Scope = dict[str, Any]
MOST_TO_DISCARD, SECONDS_TO_DISCARD = 1 << 26, 5.0
OPEN = frozenset({"/", "/healthz", "/docs", "/openapi.json"})
KNOWN = frozenset(
    {"/", "/healthz", "/think", "/v1/chat/completions", "/v1/models", "/metrics", "/openapi.json", "/docs"}
)
HEADERS = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


class Door:
    def __init__(self, app: Any, tokens: Tokens | None, body: int, metrics: Metrics) -> None:
        self._app, self._tokens, self._body, self._metrics = app, tokens, body, metrics

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def out(message: Any) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                path = scope["path"]
                self._metrics.responded(path if path in KNOWN else "other", message["status"])
                message = {**message, "headers": [*message.get("headers", ()), *HEADERS]}
            await send(message)

        try:
            await self._app(scope, await self._enter(scope, receive), out)
        except Problem as problem:
            if not started:
                await respond(problem, out)
        except asyncio.CancelledError:  # the server stops; uvicorn would log a traceback
            if not started:
                await respond(Problem("stopping"), out)
        except Exception as error:
            report(error)
            if not started:
                await respond(Problem("internal"), out)

    async def _enter(self, scope: Scope, receive: Any) -> Any:
        headers = {name.lower(): value for name, value in scope["headers"]}
        if self._tokens is not None and scope["path"] not in OPEN:
            given = headers.get(b"authorization")
            scope.setdefault("state", {})["owner"] = self._tokens.check(given.decode("latin-1") if given else None)
        if scope["method"] != "POST":
            return receive
        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > self._body:
            raise await _too_large(receive)
        kind = headers.get(b"content-type", b"").split(b";")[0].strip().lower()
        if kind != b"application/json":
            raise Problem("not-json")
        return await self._read(receive)

    async def _read(self, receive: Any) -> Any:
        """The body, as one message to come; after it, whatever comes then (that the client has gone)."""
        chunks, size, more = [], 0, True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                break
            chunks.append(message.get("body", b""))
            size += len(chunks[-1])
            more = message.get("more_body", False)
            if size > self._body:
                chunks.clear()
                raise await _too_large(receive)
        whole: list[Any] = [{"type": "http.request", "body": b"".join(chunks), "more_body": False}]

        async def again() -> Any:
            return whole.pop() if whole else await receive()

        return again


async def _too_large(receive: Any) -> Problem:
    """A client that is cut off in mid-sentence does not read the reply, so some of the rest is listened to."""

    async def listen() -> None:
        heard, more = 0, True
        while more and heard < MOST_TO_DISCARD:
            message = await receive()
            heard += len(message.get("body", b""))
            more = message.get("more_body", False)

    with suppress(asyncio.TimeoutError):
        await asyncio.wait_for(listen(), SECONDS_TO_DISCARD)
    return Problem("body-too-large", headers={"Connection": "close"})


async def respond(problem: Problem, send: Any) -> None:
    body = orjson.dumps(problem.document())
    headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
    headers += [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def report(error: BaseException) -> None:
    """For the operator: what kind of failure, and where in the code.  Its text may quote a prompt or an output."""
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-4:]))
    print(f"serve: internal error: {error.__class__.__name__} in {places}", file=sys.stderr, flush=True)
