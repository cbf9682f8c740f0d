"""A stand-in for Ollama over real HTTP, written from its API's documentation and source.

Blobs are checked against their digests, a GGUF is decoded before it becomes a model, templates and parameters are
refused like the real one refuses them; answers travel as NDJSON, escaped as Go does it, in small pieces.
What a real server does with a model, a function does here: prompt in, text out.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from so8t.formats import capability, goeval, gosyntax
from so8t.ollama import parameters

DIGEST = re.compile(r"sha256[:-][0-9a-fA-F]{64}")
NAME = re.compile(r"(\w[\w-]*/)?\w[\w.-]*(:\w[\w.-]*)?")


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class StandIn:
    """The server's state, and the switches by which a test makes it fail."""

    def __init__(self, folder: Path, answer: Callable[[str], str], version: str = "0.32.15") -> None:
        self.folder, self.answer, self.version = folder, answer, version
        self.models: dict[str, dict[str, Any]] = {}
        self.asked: list[str] = []
        self.prompts: list[str] = []
        self.cuts_upload_after: int | None = None
        self.cuts_chat = False
        self.url = ""

    def blob(self, digest: str) -> Path:
        if not DIGEST.fullmatch(digest):
            raise Refused(400, "invalid digest format")
        return self.folder / digest.replace(":", "-")

    def create(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        name = body.get("model") or body.get("name") or ""
        if not NAME.fullmatch(name):
            raise Refused(400, "invalid model name")
        files = body.get("files") or {}
        if not files:
            raise Refused(400, "neither 'from' or 'files' was specified")
        for file, digest in files.items():
            if file.startswith("/") or ".." in file:
                raise Refused(400, "file path must be relative")
            if not self.blob(digest).exists():
                raise Refused(500, f"open {digest}: no such file or directory")
        (digest,) = files.values()
        yield {"status": "parsing GGUF"}
        size = _decoded(self.blob(digest))
        yield {"status": "copying GGUF", "digest": "0000000000000000000", "total": size, "completed": size}
        try:
            gosyntax.parse(body.get("template", ""))
        except gosyntax.TemplateError as error:
            raise Refused(400, f"template error: {error}") from error
        yield {"status": f"using existing layer {digest}"}
        yield {"status": "writing manifest"}
        manifest = json.dumps(body, sort_keys=True).encode()
        full = name if ":" in name else f"{name}:latest"
        self.models[full] = {**body, "digest": hashlib.sha256(manifest).hexdigest()}
        yield {"status": "success"}

    def model(self, name: str) -> dict[str, Any]:
        full = name if ":" in name else f"{name}:latest"
        if full not in self.models:
            raise Refused(404, f"model '{name}' not found")
        return self.models[full]

    def show(self, body: dict[str, Any]) -> dict[str, Any]:
        model = self.model(body["model"])
        found = ["completion"] + ["thinking"] * (capability.tags(model["template"]) is not None)
        return {"template": model["template"], "system": model.get("system", ""), "capabilities": found}

    def chat(self, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
        model = self.model(body["model"])
        tags = capability.tags(model["template"])
        if body.get("think") and tags is None:
            raise Refused(400, f'"{body["model"]}" does not support thinking')
        messages = body["messages"]
        if model.get("system") and messages[0]["role"] != "system":
            messages = [{"role": "system", "content": model["system"]}, *messages]
        think = body.get("think", True if tags else None)
        prompt = goeval.render(model["template"], messages, think)
        self.prompts.append(prompt)
        output = self.answer(prompt)
        stops = [output.find(stop) for stop in model["parameters"].get("stop", []) if stop in output]
        output = output[: min(stops)] if stops else output
        seen = capability.separate(output, tags) if think and tags else capability.Seen("", output)
        for key, text in (("thinking", seen.thinking), ("content", seen.content)):
            for piece in (text[at : at + 5] for at in range(0, len(text), 5)):
                message = {"role": "assistant", "content": "", key: piece}
                yield {"model": body["model"], "message": message, "done": False}
        if not self.cuts_chat:
            last = {"role": "assistant", "content": ""}
            yield {"model": body["model"], "message": last, "done": True, "done_reason": "stop" if stops else "length"}


def _decoded(path: Path) -> int:
    """The size of a GGUF whose tensors all lie inside the file."""
    from gguf import GGUFReader

    if path.read_bytes()[:4] != b"GGUF":
        raise Refused(400, "unknown type")
    try:
        reader = GGUFReader(path)
    except (ValueError, IndexError) as error:
        raise Refused(500, "unexpected EOF") from error
    if any(each.data_offset + each.n_bytes > path.stat().st_size for each in reader.tensors):
        raise Refused(500, "tensor data out of range")
    return path.stat().st_size


def _json(value: Any) -> bytes:
    """As Go writes it: some characters escaped, the rest as they are."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    for letter in "<>&\u2028\u2029":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text.encode()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: StandIn

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer({"/api/blobs/": self._head_blob, "/": lambda _: self._send(200, b"")})

    def do_GET(self) -> None:
        version = lambda _: self._send(200, _json({"version": self.state.version}))  # noqa: E731
        self._answer({"/api/version": version, "/api/tags": self._tags})

    def do_POST(self) -> None:
        show = lambda _: self._send(200, _json(self.state.show(self._body())))  # noqa: E731
        self._answer(
            {
                "/api/blobs/": self._blob,
                "/api/create": lambda _: self._stream(self.state.create(self._body())),
                "/api/show": show,
                "/api/chat": lambda _: self._stream(self.state.chat(self._body())),
            }
        )

    def _answer(self, routes: dict[str, Callable[[str], None]]) -> None:
        self.state.asked.append(f"{self.command} {self.path.split('sha256')[0]}")
        for path, handle in routes.items():
            if self.path == path or (path.endswith("/") and path != "/" and self.path.startswith(path)):
                try:
                    handle(self.path.removeprefix(path))
                except Refused as error:
                    self._send(error.status, _json({"error": str(error)}))
                return
        self._send(404, b"404 page not found")

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _body(self) -> dict[str, Any]:
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

    def _stream(self, parts: Iterator[dict[str, Any]]) -> None:
        """The first part decides the status; a later error is a line of its own."""
        first = next(parts)
        self.send_response(200)
        self.send_header("Content-Type", "application/x-ndjson")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(first)
        try:
            for part in parts:
                self._chunk(part)
        except Refused as error:
            self._chunk({"error": str(error)})
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, part: dict[str, Any]) -> None:
        line = _json(part) + b"\n"
        for piece in (line[:7], line[7:]):  # a line, and a character in it, may arrive in two pieces
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")

    def _tags(self, _: str) -> None:
        models = [{"name": name, "model": name, "digest": each["digest"]} for name, each in self.state.models.items()]
        self._send(200, _json({"models": models}))

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
            self._send(self._kept(path, digest, self.rfile.read(size)), b"")

    def _kept(self, path: Path, digest: str, body: bytes) -> int:
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
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
