"""A stand-in for an Ollama server, from its API's documentation: /api/tags, and /api/generate as it streams."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

DIGEST = "5d" * 32


class Ollama(ThreadingHTTPServer):
    """`lines` are what it streams; `asked` is what it was asked."""

    daemon_threads = True

    def __init__(self, lines: Sequence[Any], status: int = 200) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.lines, self.status, self.asked = lines, status, list[dict[str, Any]]()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Ollama

    def do_GET(self) -> None:
        models = [{"name": "so8t:latest", "digest": DIGEST}, {"name": "other:7b", "digest": "00"}]
        self._begin(200)
        self.wfile.write(json.dumps({"models": models}).encode())

    def do_POST(self) -> None:
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._begin(self.server.status)
        for line in self.server.lines:
            self.wfile.write((line if isinstance(line, str) else json.dumps(line)).encode() + b"\n")

    def _begin(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/x-ndjson")
        self.end_headers()

    def log_message(self, *args: Any) -> None:
        pass


def streamed(text: str, size: int = 5) -> list[dict[str, Any]]:
    parts = [text[at : at + size] for at in range(0, len(text), size)]
    return [{"response": part, "done": False} for part in parts] + [
        {"response": "", "done": True, "done_reason": "stop"}
    ]


@contextlib.contextmanager
def running(lines: Sequence[Any], status: int = 200) -> Iterator[Ollama]:
    server = Ollama(lines, status)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
