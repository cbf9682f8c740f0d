"""The stand-in's port: answers travel as NDJSON, or as events under /v1, escaped as Go does it, in small pieces."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from so8t.ollama import parameters
from tests.ollama.standin import Part, Refused, Said, StandIn

PIECE = 5  # characters of an answer at once


def go_json(value: Any) -> bytes:
    """As Go writes it: some characters escaped, the rest as they are."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.encode()


def chat_parts(model: str, said: Said) -> Iterator[Part]:
    for key, text in _pieces(said):
        yield {"model": model, "message": {"role": "assistant", "content": "", key: text}, "done": False}
    if said.reason:
        yield {"model": model, "message": {"role": "assistant", "content": ""}, **_ends(said)}


def generate_parts(model: str, said: Said) -> Iterator[Part]:
    for key, text in _pieces(said):
        yield {"model": model, "response": "", "done": False, {"content": "response"}.get(key, key): text}
    if said.reason:
        yield {"model": model, "response": "", **_ends(said)}


def completion_parts(model: str, said: Said) -> Iterator[Part]:
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": model}
    for key, text in _pieces(said):
        delta = {"role": "assistant", "content": "", {"thinking": "reasoning"}.get(key, key): text}
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
    if said.reason:
        delta = {"role": "assistant", "content": ""}
        yield {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": said.reason}]}


def chat_whole(model: str, said: Said) -> Part:
    thinking = {"thinking": said.thinking} if said.thinking else {}
    return {"model": model, "message": {"role": "assistant", "content": said.content, **thinking}, **_ends(said)}


def generate_whole(model: str, said: Said) -> Part:
    thinking = {"thinking": said.thinking} if said.thinking else {}
    return {"model": model, "response": said.content, **thinking, **_ends(said)}


def completion_whole(model: str, said: Said) -> Part:
    message = {"role": "assistant", "content": said.content, **({"reasoning": said.thinking} if said.thinking else {})}
    choice = {"index": 0, "message": message, "finish_reason": said.reason or None}
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 0, "model": model, "choices": [choice]}


def _pieces(said: Said) -> Iterator[tuple[str, str]]:
    for key, text in (("thinking", said.thinking), ("content", said.content)):
        yield from ((key, text[at : at + PIECE]) for at in range(0, len(text), PIECE))


def _ends(said: Said) -> Part:
    if not said.reason:
        return {"done": False}
    return {"done": True, "done_reason": said.reason, "prompt_eval_count": said.prompt, "eval_count": said.made}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    state: StandIn

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer({"/api/blobs/": self._head_blob, "/": lambda _: self._send(200, b"")})

    def do_GET(self) -> None:
        version = lambda _: self._send(200, go_json({"version": self.state.version}))  # noqa: E731
        self._answer({"/api/version": version, "/api/tags": lambda _: self._send(200, go_json(self.state.tags()))})

    def do_POST(self) -> None:
        state = self.state
        self._answer(
            {
                "/api/blobs/": self._blob,
                "/api/create": lambda _: self._stream(state.create(self._body())),
                "/api/show": lambda _: self._send(200, go_json(state.show(self._body()))),
                "/api/chat": lambda _: self._asked(state.chat, chat_parts, chat_whole),
                "/api/generate": lambda _: self._asked(state.generate, generate_parts, generate_whole),
                "/v1/chat/completions": lambda _: self._asked(state.completion, completion_parts, completion_whole),
            }
        )

    def _answer(self, routes: dict[str, Callable[[str], None]]) -> None:
        self.state.asked.append(f"{self.command} {self.path.split('sha256')[0]}")
        for path, handle in routes.items():
            if self.path == path or (path.endswith("/") and path != "/" and self.path.startswith(path)):
                try:
                    handle(self.path.removeprefix(path))
                except Refused as error:
                    reason: Any = str(error)
                    if path.startswith("/v1/"):
                        reason = {"message": reason, "type": "api_error", "param": None, "code": None}
                    self._send(error.status, go_json({"error": reason}))
                return
        self._send(404, b"404 page not found")

    def _asked(
        self,
        answer: Callable[[Part], Said],
        parts: Callable[[str, Said], Iterator[Part]],
        whole: Callable[[str, Said], Part],
    ) -> None:
        """/v1 streams only when it is asked to, the others unless they are asked not to."""
        body, state = self._body(), self.state
        state.bodies.append(body)
        if state.status != 200:
            raise Refused(state.status, "the server is in trouble")
        if state.lines is not None:
            self._stream(iter(state.lines))
            return
        said = answer(body)
        events = self.path.startswith("/v1/")
        if body.get("stream", not events):
            self._stream(parts(body["model"], said), events)
        else:
            self._send(200, go_json(whole(body["model"], said)))

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> Part:
        try:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        except ValueError as error:
            raise Refused(400, str(error)) from error
        for name, value in (body.get("parameters") or {}).items():
            if name != "stop" and parameters.problem(
                name, str(value).lower() if value in (True, False) else str(value)
            ):
                raise Refused(400, f"invalid option provided: {name}")
        return body

    def _stream(self, parts: Iterator[Any], events: bool = False) -> None:
        """The first part decides the status; a later error is a line of its own."""
        first = next(parts, None)
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if events else "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        begin, end = (b"data: ", b"\n\n") if events else (b"", b"\n")
        with suppress(ConnectionError):  # whoever asked may have gone
            try:
                if first is not None:
                    self._chunk(first, begin, end)
                for part in parts:
                    self._chunk(part, begin, end)
            except Refused as error:
                self._chunk({"error": str(error)}, begin, end)
            if events:
                self._chunk("[DONE]", begin, end)
            self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, part: Any, begin: bytes, end: bytes) -> None:
        line = begin + (part.encode() if isinstance(part, str) else go_json(part)) + end
        for piece in (line[:7], line[7:]):  # a line, and a character in it, may arrive in two pieces
            if piece:
                self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")

    def _head_blob(self, digest: str) -> None:
        if not self.state.blob(digest).exists():
            raise Refused(404, f'blob "{digest}" not found')
        self._send(200, b"")

    def _blob(self, digest: str) -> None:
        path, size = self.state.blob(digest), int(self.headers["Content-Length"])
        if self.state.cuts_upload_after is not None:
            self.rfile.read(self.state.cuts_upload_after)
            self.close_connection = True
            self.connection.close()
        else:
            self._send(_kept(path, digest, self.rfile.read(size)), b"")


def _kept(path: Path, digest: str, body: bytes) -> int:
    found = f"sha256:{hashlib.sha256(body).hexdigest()}"
    if path.exists():
        return 200
    if found != digest:
        raise Refused(400, f'digest mismatch, expected "{digest}", got "{found}"')
    path.write_bytes(body)
    return 201


@contextmanager
def running(state: StandIn) -> Iterator[StandIn]:
    handler = type("Handler", (_Handler,), {"state": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
