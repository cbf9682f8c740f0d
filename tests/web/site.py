"""A site of the tests: pages over real HTTP or HTTPS on 127.0.0.x, and an access log that is the judge."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

HTML = {"Content-Type": "text/html; charset=utf-8"}


@dataclass(frozen=True)
class Page:
    status: int = 200
    body: bytes | str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    slow: float = 0.0
    drip: float = 0.0  # seconds between any two bytes
    sized: bool = True  # says how long it is
    endless: bool = False  # its headers do not end
    then: Page | None = None  # what it is from the second time on


@dataclass
class Site:
    """What it answers may change while it runs; what it has no page for is a 404."""

    origin: str
    pages: dict[str, Page]
    log: list[tuple[float, str]] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)
    cookies: list[str] = field(default_factory=list)
    conditions: list[str] = field(default_factory=list)  # of each request, "" where it has none
    open: int = 0  # connections that it took and has not done with
    changed: threading.Condition = field(default_factory=threading.Condition)

    @property
    def asked(self) -> list[str]:
        return [path for _, path in self.log]

    @property
    def gaps(self) -> list[float]:
        """Seconds from one request to the next."""
        return [after - before for (before, _), (after, _) in pairwise(self.log)]

    def count(self, more: int) -> None:
        with self.changed:
            self.open += more
            self.changed.notify_all()

    def quiet(self) -> None:
        """Wait until all that anybody has sent to it by now stands in its log: it takes connections in their order."""
        with socket.create_connection(urlsplit(self.origin).netloc.split(":")) as last:  # type: ignore[arg-type]
            last.shutdown(socket.SHUT_WR)
            last.recv(1)
        with self.changed:
            self.changed.wait_for(lambda: self.open == 0)


@contextmanager
def site(
    pages: Mapping[str, Page | str], tls: ssl.SSLContext | None = None, address: str = "127.0.0.1"
) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.log.append((time.monotonic(), self.path))
            found.conditions.append(self.headers["If-None-Match"] or self.headers["If-Modified-Since"] or "")
            found.agents.add(self.headers["User-Agent"])
            found.cookies += self.headers.get_all("Cookie", [])
            page = found.pages.get(self.path, Page(404))
            found.pages |= {self.path: page.then} if page.then else {}
            if (tag := self.headers["If-None-Match"]) and tag == page.headers.get("ETag"):
                page = Page(304)
            body = page.body.encode() if isinstance(page.body, str) else page.body
            self.send_response(page.status)
            for name, value in page.headers.items():
                self.send_header(name, value)
            if page.sized:
                self.send_header("Content-Length", str(len(body)))
            with suppress(OSError):  # who gave it up has gone
                while page.endless:
                    self.send_header("x", "y" * 9000)
                    self.flush_headers()
                self.end_headers()
                time.sleep(page.slow)
                for piece in (body[at : at + 1] for at in range(len(body))) if page.drip else (body,):
                    time.sleep(page.drip)
                    self.wfile.write(piece)

        def log_message(self, *args: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def process_request(self, request: Any, client_address: Any) -> None:
            found.count(1)
            super().process_request(request, client_address)

        def process_request_thread(self, request: Any, client_address: Any) -> None:
            try:
                super().process_request_thread(request, client_address)
            finally:
                found.count(-1)

        def finish_request(self, request: Any, client_address: Any) -> None:
            """In the thread of its connection, so that a slow handshake stops nobody else."""
            with suppress(OSError):  # who refuses us goes away
                super().finish_request(tls.wrap_socket(request, server_side=True) if tls else request, client_address)

    server = Server((address, 0), Handler)
    given = {path: page if isinstance(page, Page) else Page(body=page) for path, page in pages.items()}
    found = Site(f"{'https' if tls else 'http'}://{address}:{server.server_port}", given)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
