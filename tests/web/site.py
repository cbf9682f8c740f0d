"""A site of the tests: pages over real HTTP or HTTPS on 127.0.0.1, and an access log that is the judge."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

HTML = {"Content-Type": "text/html; charset=utf-8"}


@dataclass(frozen=True)
class Page:
    status: int = 200
    body: bytes | str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    slow: float = 0.0
    drip: float = 0.0  # seconds between any two bytes


@dataclass
class Site:
    """What it answers may change while it runs; what it has no page for is a 404."""

    origin: str
    pages: dict[str, Page]
    log: list[tuple[float, str]] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    cookies: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)  # of each request, "" where it has none

    @property
    def asked(self) -> list[str]:
        return [path for _, path in self.log]


@contextmanager
def site(pages: Mapping[str, Page | str], tls: ssl.SSLContext | None = None) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.log.append((time.monotonic(), self.path))
            found.conditions.append(self.headers["If-None-Match"] or self.headers["If-Modified-Since"] or "")
            found.agents.add(self.headers["User-Agent"])
            found.cookies += self.headers.get_all("Cookie", [])
            page = found.pages.get(self.path, Page(404))
            if (tag := self.headers["If-None-Match"]) and tag == page.headers.get("ETag"):
                page = Page(304)
            body = page.body.encode() if isinstance(page.body, str) else page.body
            self.send_response(page.status)
            for name, value in page.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            time.sleep(page.slow)
            with suppress(OSError):  # who gave it up has gone
                for piece in (body[at : at + 1] for at in range(len(body))) if page.drip else (body,):
                    time.sleep(page.drip)
                    self.wfile.write(piece)

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def finish_request(self, request: Any, client_address: Any) -> None:
            """In the thread of its connection, so that a slow handshake stops nobody else."""
            with suppress(OSError):  # who refuses us goes away
                super().finish_request(tls.wrap_socket(request, server_side=True) if tls else request, client_address)

    server = Server(("127.0.0.1", 0), Handler)
    given = {path: page if isinstance(page, Page) else Page(body=page) for path, page in pages.items()}
    found = Site(f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}", given)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
