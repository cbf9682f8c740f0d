"""Scrapy's handlers with the bounds that they lack: headers that do not end, and the time of a whole answer.

Scrapy bounds the body before and after decompression, Twisted the length of a line and of what follows chunks.
"""

from __future__ import annotations

import asyncio
from typing import Any

from scrapy import Request
from scrapy.core.downloader.handlers._httpx import HttpxDownloadHandler
from scrapy.core.downloader.handlers.http11 import HTTP11DownloadHandler
from scrapy.crawler import Crawler
from scrapy.exceptions import DownloadFailedError, DownloadTimeoutError
from scrapy.http import Response
from twisted.python.failure import Failure
from twisted.web._newclient import HEADER, STATUS

from so8t.web.scrapydoor import ENDLESS

HEADERS = 256 << 10  # bytes before a body, as in browsers; each line of them costs up to forty times its length


class EndlessHeaders(Exception):
    """The headers of an answer are longer than HEADERS."""


class BoundedHandler(HTTP11DownloadHandler):
    """Gives up an answer whose headers do not end, over TLS, too, where an aborted connection looks like a lost one."""

    def __init__(self, crawler: Crawler) -> None:
        super().__init__(crawler)
        given: Any = self._pool._factory

        class Factory(given):
            def buildProtocol(self, addr: Any) -> Any:
                return _bounded(super().buildProtocol(addr))

        self._pool._factory = Factory


class NegotiatingHandler(HttpxDownloadHandler):
    """HTTP/2 with sites that offer it, else HTTP/1.1: Scrapy bounds each read of an answer, and this the whole one."""

    async def download_request(self, request: Request) -> Response:
        timeout = request.meta["download_timeout"]
        try:
            return await asyncio.wait_for(super().download_request(request), timeout)
        except asyncio.TimeoutError as error:
            raise DownloadTimeoutError(f"Getting {request.url} took longer than {timeout} seconds.") from error
        except DownloadFailedError as error:
            if "Receive buffer too long" in str(error):  # h11: 100 KiB of headers; h2 has its own 64 KiB
                raise EndlessHeaders(ENDLESS) from error
            raise


def _bounded(protocol: Any) -> Any:
    """Counts what comes before the body of each answer; an answer has a parser of its own."""
    receive, last, before = protocol.dataReceived, None, 0

    def counted(data: bytes) -> None:
        nonlocal last, before
        if protocol._parser is not last:
            last, before = protocol._parser, 0
        if last is not None and last.state in (STATUS, HEADER):
            before += len(data)
        if before > HEADERS + (1 << 16):  # the last piece may hold a body, too
            protocol._giveUp(Failure(EndlessHeaders(ENDLESS)))
            protocol.transport.abortConnection()
        else:
            receive(data)

    protocol.dataReceived = counted
    return protocol
