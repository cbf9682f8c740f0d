"""What the server says of itself: the OpenAPI document, and pages of one file each."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from so8t.serve import wire
from so8t.serve.problem import KINDS, MEDIA_TYPE

EVENTS = "text/event-stream"


def documented(model: Any, *statuses: int, stream: bool = False) -> dict[str, Any]:
    """What OpenAPI says of an endpoint that builds its responses itself."""
    answered = (400, 413, 415, 422, 429, 500, 502, 503, 504) if stream else ()
    found = {}
    for status in sorted({401, *answered, *statuses} | ({404} if stream else set())):
        titles = [kind.title for kind in KINDS.values() if kind.status == status]
        schema = {"$ref": "#/components/schemas/ProblemDocument"}
        found[status] = {"description": " / ".join(dict.fromkeys(titles)), "content": {MEDIA_TYPE: {"schema": schema}}}
    if stream:
        event = {"type": "object", "properties": {"event": {"type": "string"}, "data": {"type": "string"}}}
        text = {"content": {EVENTS: {"schema": event}}}
        return {"response_model": model, "responses": {200: text, **found}}
    if model is None:
        return {"responses": {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **found}}
    return {"response_model": model, "responses": found}


def openapi(app: FastAPI) -> Callable[[], dict[str, Any]]:
    generate = app.openapi

    def document() -> dict[str, Any]:
        found = generate()
        found["components"]["schemas"]["ProblemDocument"] = wire.ProblemDocument.model_json_schema()
        return found

    return document


def front(model: str, examples: Sequence[str]) -> dict[str, str]:
    """What the front page says of this server: the model's name, and questions that it is known to answer right."""
    buttons = (f'<li><button type="button" class="plain">{escape(each)}</button></li>' for each in examples)
    return {
        "model": escape(model),
        "placeholder": escape(next(iter(examples), "")),
        "examples": "".join(buttons),
        "hidden": "" if examples else " hidden",
    }


def page_of(name: str, texts: Mapping[str, str] | None = None) -> Callable[[], Any]:
    """A page of one file, and a policy under which the browser loads nothing else and runs only what is in it.

    `texts` are HTML, each in the place of its name in double braces.
    """
    html = (files("so8t.serve") / "page" / name).read_text(encoding="utf-8")
    html = re.sub(r"\{\{(\w+)\}\}", lambda found: (texts or {})[found[1]], html)

    def sources(tag: str) -> str:
        inline = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        hashes = (base64.b64encode(hashlib.sha256(each.encode()).digest()).decode() for each in inline)
        return " ".join(f"'sha256-{each}'" for each in hashes)

    policy = (
        f"default-src 'none'; script-src {sources('script')}; style-src {sources('style')}; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )

    async def page() -> HTMLResponse:
        return HTMLResponse(html, headers={"Content-Security-Policy": policy})

    return page
