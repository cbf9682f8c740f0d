"""A page that shows a build while it runs, in whatever process: on this machine alone, by a secret path.

A page of another site cannot read it: a name that leads to 127.0.0.1 is not the Host that it answers.
"""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from typing import Any

from so8t.errors import UserError

HOST = "127.0.0.1"
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

Page = tuple[str, Callable[[], str]]  # its media type, and its text


class Live:
    """`state` gives what the page shows, `report` the report of what is there by now."""

    def __init__(self, state: Callable[[], Mapping[str, Any]], report: Callable[[], str], port: int = 0) -> None:
        page = (files("so8t.serve") / "page" / "live.html").read_text("utf-8")
        lock = threading.Lock()  # two browsers, one look at the disk at a time

        def shown() -> str:
            with lock:
                return json.dumps(state(), ensure_ascii=False)

        secret = secrets.token_urlsafe(16)
        self._pages: dict[str, Page] = {
            f"/{secret}/": ("text/html", lambda: page),
            f"/{secret}/state": ("application/json", shown),
            f"/{secret}/report": ("text/html", report),
        }
        try:
            self._server = ThreadingHTTPServer((HOST, port), self._handler())
        except OSError as error:
            raise UserError(f"watch: cannot listen at {HOST}:{port}: {error.strerror}") from None
        self._server.daemon_threads = True
        self._port = int(self._server.server_port)
        self.url = f"http://{HOST}:{self._port}/{secret}/"

    def run(self) -> None:
        with self._server:
            self._server.serve_forever(poll_interval=0.2)

    def stop(self) -> None:
        self._server.shutdown()

    def answer(self, host: str, path: str) -> tuple[HTTPStatus, str, str]:
        """Status, media type and text."""
        if host not in (f"{HOST}:{self._port}", f"localhost:{self._port}"):
            return HTTPStatus.MISDIRECTED_REQUEST, "text/plain", f"ask at {HOST}:{self._port}\n"
        if path not in self._pages:
            return HTTPStatus.NOT_FOUND, "text/plain", "the address that doit watch prints has a secret part\n"
        kind, text = self._pages[path]
        try:
            return HTTPStatus.OK, kind, text()
        except (UserError, OSError) as error:  # a spec that is being edited, an artifact that has just gone
            return HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", f"{error}\n"

    def _handler(live) -> type[BaseHTTPRequestHandler]:
        class Handler(BaseHTTPRequestHandler):
            timeout = 20  # seconds for a client that says nothing

            def do_GET(self) -> None:
                status, kind, text = live.answer(self.headers.get("Host", ""), self.path)
                body = text.encode("utf-8", "replace")
                self.send_response(status)
                for name, value in {**_HEADERS, "Content-Type": f"{kind}; charset=utf-8"}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def version_string(self) -> str:
                return "so8t"

            def log_message(self, *_: Any) -> None:
                """The path holds the secret."""

        return Handler
