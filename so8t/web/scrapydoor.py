"""The door to the web of a crawl: Scrapy's downloader, one request for each call, and nothing that it decides itself.

Its engine runs in the main thread of this process; who asks does so from threads of his own.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Mapping
from typing import Any

from so8t.errors import MissingExtra
from so8t.web import certificates
from so8t.web.asking import Reply
from so8t.web.polite import Get

ENDLESS = "its headers do not end"
_OURS = {  # robots.txt, pauses, redirects and second tries are so8t's: Scrapy knows no Crawl-delay
    "ROBOTSTXT_OBEY": False,
    "COOKIES_ENABLED": False,
    "RETRY_ENABLED": False,
    "REDIRECT_ENABLED": False,
    "METAREFRESH_ENABLED": False,
    "HTTPCACHE_ENABLED": False,
    "TELNETCONSOLE_ENABLED": False,
    "LOG_ENABLED": False,
    "LOG_INSTALL_ROOT_HANDLER": False,
    "DOWNLOAD_DELAY": 0,
    "DOWNLOAD_WARNSIZE": 0,
    "DOWNLOAD_VERIFY_CERTIFICATES": True,
    "CONCURRENT_REQUESTS": 256,
    "DEFAULT_REQUEST_HEADERS": {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.5"},
}


def crawl(
    work: Callable[[Get], None], user_agent: str, timeout: float, max_page: int, workers: int, http2: bool = False
) -> None:
    """Run `work` with a function that asks; once in a process, for Twisted's reactor cannot be started again."""
    try:
        import scrapy
        from scrapy.crawler import AsyncCrawlerProcess

        from so8t.web.handler import BoundedHandler, NegotiatingHandler

        if http2:
            import h2.connection  # noqa: F401  # without it Scrapy would ask no site over HTTPS, and not say why
    except ImportError as error:
        raise MissingExtra("h2" if error.name in ("h2", "h2.connection") else "scrapy", "web", "crawl") from error
    certificates.prepare()
    failed = list[BaseException]()

    class Door(scrapy.Spider):
        name = "so8t"

        async def start(self) -> Any:
            loop, done = asyncio.get_running_loop(), asyncio.Event()

            def get(url: str, headers: Mapping[str, str]) -> Reply:
                return asyncio.run_coroutine_threadsafe(self._ask(url, headers), loop).result()

            def whole() -> None:
                try:
                    work(get)
                except BaseException as error:
                    failed.append(error)
                finally:
                    loop.call_soon_threadsafe(done.set)

            threading.Thread(target=whole, daemon=True).start()
            await done.wait()
            return
            yield  # an asynchronous generator, as Scrapy asks for

        async def _ask(self, url: str, headers: Mapping[str, str]) -> Reply:
            request = scrapy.Request(url, headers=dict(headers), dont_filter=True)
            try:
                response = await self.crawler.engine.download_async(request)
            except Exception as error:
                told = certificates.refused(error) or _told(error)
                return Reply(None, said=told)
            found = tuple(
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, values in response.headers.items()
                for value in values
            )
            return Reply(response.status, found, response.body)

    settings = {
        **_OURS,
        "DOWNLOAD_HANDLERS": {"http": BoundedHandler, "https": NegotiatingHandler if http2 else BoundedHandler},
        "HTTPX_HTTP2_ENABLED": http2,
        "USER_AGENT": user_agent,
        "DOWNLOAD_TIMEOUT": timeout,
        "DOWNLOAD_MAXSIZE": max_page,
        "CONCURRENT_REQUESTS_PER_DOMAIN": max(2, workers),
    }
    process = AsyncCrawlerProcess(settings)
    process.crawl(Door)
    process.start(install_signal_handlers=False)
    if failed:
        raise failed[0]


def _told(error: Exception) -> str:
    if ENDLESS in str(error):
        return ENDLESS
    return f"{type(error).__name__}: {error}"[:300].rstrip(": ")
