"""Asking that keeps every answer and is never faster than a site allows, whoever asks at the same time.

What the archive holds of this round is answered from there; before the first request of a round that goes on, a host is
left alone for a whole pause, for nobody knows what was asked of it in the moment of the kill.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from so8t.web.archive import Archive, Entry
from so8t.web.asking import MOST, Asker, Pace, Reply, Site
from so8t.web.robots import KEPT
from so8t.web.signals import VOCABULARIES

Get = Callable[[str, Mapping[str, str]], Reply]

BUSY = (429, 503)  # answers that may say after how long to come again
TRIES = 3


class Polite(Asker):
    """An asker with an archive: one request at a time to a host, each answer kept before it is used."""

    def __init__(
        self,
        door: Get,
        agent: str,
        refusals: frozenset[str],
        pace: Pace,
        archive: Archive,
        now: Callable[[], float] = time.time,
        vocabularies: frozenset[str] = VOCABULARIES,
    ) -> None:
        super().__init__(lambda url: door(url, {}), agent, refusals, pace, vocabularies)
        self.door, self.archive, self.now = door, archive, now
        self.entries: dict[str, Entry] = {}  # URL -> its latest answer
        self._guard = threading.Lock()
        self._locks: dict[str, threading.Lock] = {}

    def site(self, url: str) -> Site:
        """What holds for the site; asked again when a day has passed since it was."""
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        site = self._site(url)
        while (entry := self.entries.get(origin + "/robots.txt")) and self.now() - seconds(entry.when) > KEPT:
            del self.sites[origin]
            site = self._site(url)
        return site

    def page(self, url: str) -> Reply:
        """The page, asked for with the validators of earlier rounds; a host that says when to come again is obeyed."""
        host = urlsplit(url).netloc
        reply = self._ask(url, self.archive.validators(url))
        for _ in range(TRIES - 1):
            if reply.status not in BUSY or (pause := retry_after(reply, seconds(self.entries[url].when))) is None:
                break
            if pause > MOST:
                return Reply(reply.status, said=f"answered {reply.status}: come again in {pause:,.0f} seconds")
            left = seconds(self.entries[url].when) + pause - self.now()
            self.pace.ready[host] = max(self.pace.ready.get(host, 0.0), self.pace.clock() + left)
            reply = self._ask(url, self.archive.validators(url))
        return reply

    def _get(self, url: str) -> Reply:
        return self._ask(url, {})

    def _ask(self, url: str, headers: Mapping[str, str]) -> Reply:
        if kept := self.archive.replay(url):
            self.entries[url] = kept[1]
            return kept[0]
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            return Reply(None, said=f"leads to {parts.scheme}:, which is not the web")
        with self._lock(parts.netloc):
            self.pace.wait(parts.netloc)
            try:
                reply = self.door(url, headers)
            finally:
                self.pace.asked(parts.netloc)
            reply, self.entries[url] = self.archive.keep(url, reply)
        return reply

    def _lock(self, host: str) -> threading.Lock:
        with self._guard:
            if host not in self._locks:
                self._locks[host] = threading.Lock()
                if self.archive.resumed:
                    self.pace.asked(host)
            return self._locks[host]


def retry_after(reply: Reply, asked: float) -> float | None:
    """Seconds that the answer asks to be left alone for, since it came; None if it does not say."""
    said = reply.header("retry-after").strip()
    if said.isdecimal():
        return float(said[:9])
    try:
        return max(0.0, parsedate_to_datetime(said).timestamp() - asked)
    except (TypeError, ValueError, IndexError):
        return None


def seconds(when: str) -> float:
    """A date of WARC as seconds since 1970."""
    return datetime.strptime(when, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=timezone.utc).timestamp()
