"""The door: one GET, of which no more is read than is needed, and nothing is kept for the next."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from so8t.errors import MissingExtra
from so8t.web import certificates
from so8t.web.asking import Reply

LIMIT = 2 << 20  # bytes of a body, as they are after decompression
PATIENCE = 60.0  # seconds for a whole answer


@contextmanager
def client(user_agent: str) -> Iterator[Callable[[str], Reply]]:
    """What asks in the name of `user_agent`: no redirect, no cookie, no second try."""
    try:
        import httpx
    except ImportError as error:
        raise MissingExtra("httpx", "collect", "doit recheck") from error
    certificates.prepare()

    def get(url: str) -> Reply:
        until = time.monotonic() + PATIENCE
        try:
            with web.stream("GET", url) as answer:
                body = bytearray()
                for block in answer.iter_bytes():
                    body += block
                    if len(body) > LIMIT:
                        break
                    if time.monotonic() > until:
                        return Reply(None, said=f"took longer than {PATIENCE:.0f} s")
                return Reply(answer.status_code, tuple(answer.headers.multi_items()), bytes(body[:LIMIT]))
        except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
            return Reply(None, said=certificates.refused(error) or f"{type(error).__name__}: {error}".rstrip(": "))
        finally:
            web.cookies.clear()

    headers = {"User-Agent": user_agent, "Accept": "*/*", "Accept-Encoding": "gzip"}
    with httpx.Client(headers=headers, timeout=10.0, follow_redirects=False) as web:
        yield get
