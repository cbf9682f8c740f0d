"""The HTTP application: /think, OpenAI's /v1, health, metrics, the page and its documents."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import StreamingResponse
from starlette.exceptions import HTTPException

from so8t.serve import metrics, sse, wire
from so8t.serve.documents import EVENTS, documented, front, openapi, page_of
from so8t.serve.door import Door
from so8t.serve.limits import Tokens
from so8t.serve.problem import MEDIA_TYPE, Problem
from so8t.serve.service import Ask, Delta, Done, Opened, Service

_BY_STATUS = {404: "not-found", 405: "method-not-allowed", 400: "malformed"}


def create(service: Service, tokens: Tokens | None = None, page: bool = True, examples: Sequence[str] = ()) -> Door:
    """`examples` are questions that the page offers."""
    app = FastAPI(
        title="so8t",
        version="1",
        description="Answers of a gated model.  What it thinks stays inside.",
        docs_url=None,
        redoc_url=None,
        lifespan=_life(service),
    )
    name = service.backend.name
    began = int(time.time())

    summary, reply = (
        ("Ask: class, confidence, reason, answer", wire.ThinkReply) if service.classed else ("Ask", wire.PlainReply)
    )

    @app.post("/think", summary=summary, **documented(reply, stream=True))
    async def think(question: wire.PromptQuestion | wire.MessagesQuestion, request: Request) -> Response:
        if isinstance(question, wire.PromptQuestion):
            messages = [{"role": "user", "content": question.prompt}]
        else:
            messages = [message.model_dump() for message in question.messages]
        ask = _ask(request, messages, "think", question.stream, question.max_tokens)
        if ask.stream:
            return _streamed(sse.think_events(await _begun(service, ask)))
        return _json(sse.think_reply(await _while_there(request, service, ask)))

    @app.post(
        "/v1/chat/completions", summary="OpenAI's chat completions", **documented(wire.ChatCompletion, stream=True)
    )
    async def chat(body: wire.ChatRequest, request: Request) -> Response:
        if body.model != name:
            raise Problem("unknown-model")
        messages = [message.plain() for message in body.messages]
        ask = _ask(request, messages, "chat", bool(body.stream), body.most)
        if ask.stream:
            usage = body.stream_options is not None and body.stream_options.include_usage
            return _streamed(sse.completion_events(await _begun(service, ask), name, usage))
        return _json(sse.completion(await _while_there(request, service, ask), name))

    @app.get("/v1/models", summary="The models: one", **documented(wire.Models))
    async def models() -> Response:
        return _json({"object": "list", "data": [_model(name, began)]})

    @app.get("/v1/models/{model:path}", summary="One model", **documented(wire.ListedModel, 404, 422))
    async def model(model: str) -> Response:
        if model != name:
            raise Problem("unknown-model")
        return _json(_model(name, began))

    @app.get(
        "/healthz",
        summary="Whether requests are answered",
        responses={503: {"model": wire.Health}},
        response_model=wire.Health,
    )
    async def healthz() -> Response:
        problem = await service.trouble()
        return _json({"status": "failing", "problem": problem}, 503) if problem else _json({"status": "ok"})

    @app.get("/metrics", summary="Prometheus", **documented(None))
    async def prometheus() -> Response:
        text = service.metrics.text(service.slots.free, service.slots.waiting)
        return Response(text, media_type=metrics.MEDIA_TYPE)

    if page:
        app.get("/", include_in_schema=False)(page_of("index.html", front(name, examples)))
        app.get("/docs", include_in_schema=False)(page_of("docs.html"))

    app.add_exception_handler(Problem, _on_problem)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(ClientGone, _on_gone)
    app.add_exception_handler(Exception, _on_failure)  # the door reports it
    app.openapi = openapi(app)  # type: ignore[method-assign]
    return Door(app, tokens, service.limits.body, service.metrics)


# ---- asking ----------------------------------------------------------------------------------------------------------


def _ask(request: Request, messages: list[dict[str, str]], endpoint: str, stream: bool, most: int | None) -> Ask:
    if messages[-1]["role"] != "user":
        raise Problem("invalid", problems=[{"where": "messages", "what": "the last message must be the user's"}])
    return Ask(messages, endpoint, stream, most, getattr(request.state, "owner", None))


async def _while_there(request: Request, service: Service, ask: Ask) -> Done:
    """The whole reply; a client that goes away frees its slot."""
    work = asyncio.ensure_future(_whole(service, ask))
    gone = asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise ClientGone
        return work.result()
    finally:
        for task in (work, gone):
            task.cancel()
        await asyncio.gather(work, gone, return_exceptions=True)


class ClientGone(Exception):
    """Nobody is there to read a response."""


async def _whole(service: Service, ask: Ask) -> Done:
    async with _closing(service.answer(ask)) as events:
        async for event in events:
            if isinstance(event, Done):
                return event
    raise AssertionError("an answer ends with Done or a Problem")


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _begun(service: Service, ask: Ask) -> sse.Events:
    """The events, once there is a first one: what fails before it has a status of its own."""
    events = service.answer(ask)
    try:
        first = await anext(events)
    except BaseException:
        await events.aclose()  # type: ignore[attr-defined]
        raise

    async def all_of_them() -> AsyncIterator[Opened | Delta | Done]:
        async with _closing(events):
            yield first
            async for event in events:
                yield event

    return all_of_them()


@asynccontextmanager
async def _closing(events: Any) -> AsyncIterator[Any]:
    try:
        yield events
    finally:
        await events.aclose()


# ---- responses -------------------------------------------------------------------------------------------------------


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, media_type="application/json")


def _streamed(events: AsyncIterator[bytes]) -> Response:
    return StreamingResponse(events, media_type=EVENTS)


def _model(name: str, began: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": began, "owned_by": "so8t"}


def _life(service: Service) -> Callable[[FastAPI], Any]:
    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        yield
        await asyncio.get_running_loop().run_in_executor(None, service.close)

    return life


async def _on_problem(request: Request, problem: Exception) -> Response:
    assert isinstance(problem, Problem)
    body = orjson.dumps(problem.document())
    return Response(body, problem.status, problem.headers, MEDIA_TYPE)


async def _on_invalid(request: Request, error: Exception) -> Response:
    """Where and what is wrong, without what was sent."""
    assert isinstance(error, RequestValidationError)
    issues = error.errors()
    if any(issue["type"] == "json_invalid" for issue in issues):
        return await _on_problem(request, Problem("malformed"))
    found = [{"where": _place(issue["loc"]), "what": issue["type"]} for issue in issues[:20]]
    fields = [each["where"].removeprefix("body.") for each in found]
    unknown = next((field for field in fields if field in wire.UNSUPPORTED), None)
    if unknown:
        return await _on_problem(
            request, Problem("invalid", f"{unknown} is not supported.", param=unknown, problems=found)
        )
    return await _on_problem(
        request, Problem("invalid", param=fields[0] if "?" not in fields[0] else None, problems=found)
    )


def _place(loc: Any) -> str:
    """Our own names and positions only: an unknown key is the client's text."""
    known = {"body", "path", "query", *_FIELDS}
    return ".".join(str(part) if isinstance(part, int) or part in known else "?" for part in loc)


async def _on_gone(request: Request, error: Exception) -> Response:
    return Response(status_code=499)


async def _on_failure(request: Request, error: Exception) -> Response:
    return await _on_problem(request, Problem("internal"))


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    kind = _BY_STATUS.get(error.status_code, "internal")
    headers = {key: value for key, value in (error.headers or {}).items() if key.lower() == "allow"}
    return await _on_problem(request, Problem(kind, headers=headers))


_FIELDS = (
    frozenset(
        name
        for model in (wire.PromptQuestion, wire.MessagesQuestion, wire.Message, wire.ChatRequest, wire.ChatMessage)
        for name in model.model_fields
    )
    | wire.UNSUPPORTED
)
