"""Problem documents (RFC 9457): every status that is not an answer, with texts that say nothing of the inside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MEDIA_TYPE = "application/problem+json"


@dataclass(frozen=True)
class Kind:
    status: int
    title: str
    detail: str


KINDS = {
    "malformed": Kind(400, "Malformed request", "The body is not JSON in UTF-8."),
    "prompt-too-long": Kind(400, "Prompt too long", "The prompt has more tokens than this server takes."),
    "no-token": Kind(401, "Token needed", "Send a bearer token in the Authorization header."),
    "unknown-token": Kind(401, "Token not accepted", "The bearer token is not known here."),
    "expired-token": Kind(401, "Token expired", "The bearer token no longer holds."),
    "not-found": Kind(404, "Not found", "There is nothing at this address."),
    "unknown-model": Kind(404, "No such model", "GET /v1/models lists the models."),
    "method-not-allowed": Kind(405, "Method not allowed", "This address does not take this method."),
    "body-too-large": Kind(413, "Body too large", "The body is larger than this server takes."),
    "not-json": Kind(415, "Not JSON", "Send the body as application/json."),
    "invalid": Kind(422, "Invalid request", "The request is not as documented."),
    "busy": Kind(429, "Busy", "All slots are taken and the queue is full: try again later."),
    "internal": Kind(500, "Internal error", "The server failed; nothing of the answer was sent."),
    "broken-format": Kind(502, "No answer", "The model's output did not keep its format, so none of it is sent."),
    "backend": Kind(502, "No answer", "The model could not be run."),
    "audit": Kind(503, "Not answering", "The audit log cannot be written, and nothing is answered without it."),
    "stopping": Kind(503, "Not answering", "The server is stopping."),
    "cut-off": Kind(502, "No answer", "The most tokens were reached before the answer began: raise max_tokens."),
    "timeout": Kind(504, "No answer in time", "The model took longer than this server waits."),
}


class Problem(Exception):
    """A request that ends without an answer."""

    def __init__(
        self,
        kind: str,
        detail: str | None = None,
        *,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> None:
        super().__init__(kind)
        self.kind, self.headers, self.more = kind, dict(headers or {}), more
        self.detail, self.param = detail or KINDS[kind].detail, param
        self.status = KINDS[kind].status
        if self.status == 401:
            self.headers["WWW-Authenticate"] = "Bearer" if kind == "no-token" else 'Bearer error="invalid_token"'

    def document(self) -> dict[str, Any]:
        """Also in OpenAI's words, which its clients look for."""
        kind = KINDS[self.kind]
        error = {
            "message": self.detail,
            "type": "invalid_request_error" if kind.status < 429 else "server_error",
            "param": self.param,
            "code": self.kind.replace("-", "_"),
        }
        own = {"type": f"urn:so8t:problem:{self.kind}", "title": kind.title, "status": kind.status}
        return {**own, "detail": self.detail, **self.more, "error": error}
