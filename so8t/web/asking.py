"""Sites are asked again what they permit: robots.txt, the files beside it, and what each page says of itself.

One request at a time, and between two to one host the pause that its robots.txt asks for.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import urljoin, urlsplit

from so8t.web import signals
from so8t.web.robots import Answer, Verdict, answered
from so8t.web.signals import AI_TXT_PATH, REFUSALS, TDMREP_PATH, VOCABULARIES, Signal

Outcome = Literal["no", "as before", "gone", "not asked"]

HOPS = 5  # redirects in a row
REFUSING = (402, 403, 451)  # decisions of a site, not failures
MOST = 600.0  # seconds that are waited between two requests; a site that asks for more is not asked


@dataclass(frozen=True)
class Reply:
    """An answer to a request; None where there was none, and why."""

    status: int | None
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    said: str = ""

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name), "")

    @property
    def leads_to(self) -> str:
        return self.header("location") if self.status and 300 <= self.status < 400 else ""

    @property
    def is_page(self) -> bool:
        return "html" in self.header("content-type").lower()


class Known(NamedTuple):
    """What became of a URL, and in which words."""

    outcome: Outcome
    said: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """What a URL's site says today, and in which words."""

    url: str
    outcome: Outcome
    said: tuple[str, ...] = ()


@dataclass(frozen=True)
class Site:
    """What a site says of all its URLs, and which of it cannot be used."""

    robots: Answer
    tdmrep: bytes = b""
    ai_txt: bytes = b""
    closed: str = ""


@dataclass
class Pace:
    """When a host may be asked next."""

    least: float = 1.0  # seconds between two requests to one host
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    pauses: dict[str, float] = field(default_factory=dict)
    ready: dict[str, float] = field(default_factory=dict)

    def wait(self, host: str) -> None:
        if (left := self.ready.get(host, 0.0) - self.clock()) > 0:
            self.sleep(left)

    def asked(self, host: str) -> None:
        self.ready[host] = self.clock() + self.pauses.get(host, self.least)

    def slower(self, host: str, pause: float) -> None:
        """From now on, and for the request that was just answered."""
        before = self.pauses.get(host, self.least)
        self.pauses[host] = max(before, pause)
        self.ready[host] = self.ready.get(host, 0.0) + self.pauses[host] - before


@dataclass
class Asker:
    """Asks with `get`, which follows no redirect, in the name of `agent`, a product token."""

    get: Callable[[str], Reply]
    agent: str
    refusals: frozenset[str] = REFUSALS
    pace: Pace = field(default_factory=Pace)
    vocabularies: frozenset[str] = VOCABULARIES  # those whose no counts
    sites: dict[str, Site] = field(default_factory=dict)
    ends: dict[str, str] = field(default_factory=dict)  # file of a site -> the URL that it was found under

    def every(self, urls: Iterable[str]) -> Iterator[Finding]:
        """All of them, hosts in turn: whichever may be asked first."""
        waiting: dict[str, deque[str]] = {}
        for url in urls:
            waiting.setdefault(urlsplit(url).netloc, deque()).append(url)
        while waiting:
            host = min(waiting, key=lambda host: self.pace.ready.get(host, 0.0))
            yield self.ask(waiting[host].popleft())
            if not waiting[host]:
                del waiting[host]

    def ask(self, url: str) -> Finding:
        at = url
        for _ in range(1 + HOPS):
            if known := self._known(at):
                return Finding(url, *known)
            reply = self._get(at)
            if not reply.leads_to:
                return Finding(url, *self._of_page(reply))
            at = urljoin(at, reply.leads_to)
        return Finding(url, "not asked", ("redirects without end",))

    def _known(self, url: str) -> Known | None:
        return self.judged(self._site(url), url)[2]

    def judged(self, site: Site, url: str) -> tuple[Verdict, list[Signal], Known | None]:
        """The rule for the URL, what its site says of it, and what is known by these without asking for the page."""
        path = target(url)
        verdict, known = site.robots.verdict(self.agent, path), None
        said = [
            *signals.of_robots(site.robots.rules, self.agent, path),
            *(signals.of_tdmrep(site.tdmrep, path) if site.tdmrep else []),
            *signals.of_ai_txt(site.ai_txt, self.agent, path),
        ]
        if site.closed:
            known = Known("not asked", (site.closed,))
        elif not verdict.allowed:
            known = Known("no", (f"robots.txt:{verdict.line}: {verdict.rule}",))
        elif refused := self.refused(said):
            known = Known("no", refused)
        return verdict, said, known

    def _site(self, url: str) -> Site:
        parts = urlsplit(url)
        origin = f"{parts.scheme}://{parts.netloc}"
        if origin not in self.sites:
            self.sites[origin] = self._ask_site(origin, parts.netloc)
        return self.sites[origin]

    def _ask_site(self, origin: str, host: str) -> Site:
        reply = self._followed(origin + "/robots.txt")
        robots = answered(reply.status, reply.body, reply.header("content-type"))
        if robots.state == "closed":
            return Site(robots, closed=reply.said or robots.said)
        pause = robots.rules.delay(self.agent) or 0.0
        if pause > MOST:
            return Site(robots, closed=f"robots.txt asks for {pause:,.0f} seconds between two requests")
        self.pace.slower(host, pause)
        return Site(robots, self._beside(origin, robots, TDMREP_PATH), self._beside(origin, robots, AI_TXT_PATH))

    def _beside(self, origin: str, robots: Answer, path: str) -> bytes:
        if not robots.verdict(self.agent, path).allowed:
            return b""
        reply = self._followed(origin + path)
        return reply.body if reply.status == 200 and not reply.is_page else b""

    def _followed(self, url: str) -> Reply:
        first, reply = url, self._get(url)
        for _ in range(HOPS):
            if not reply.leads_to:
                break
            url = urljoin(url, reply.leads_to)
            reply = self._get(url)
        self.ends[first] = url
        return reply

    def _get(self, url: str) -> Reply:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            return Reply(None, said=f"leads to {parts.scheme}:, which is not the web")
        self.pace.wait(parts.netloc)
        try:
            return self.get(url)
        finally:
            self.pace.asked(parts.netloc)

    def _of_page(self, reply: Reply) -> Known:
        if known := without_page(reply):
            return known
        said = signals.of_headers(reply.headers, self.agent, self.refusals)
        if reply.is_page:
            said += signals.of_page(text(reply.body), self.agent, self.refusals)
        return Known("no", refused) if (refused := self.refused(said)) else Known("as before", ())

    def refused(self, said: Iterable[Signal]) -> tuple[str, ...]:
        """What says no, in the vocabularies that count."""
        return nos(signal for signal in said if signal.vocabulary in self.vocabularies)


def without_page(reply: Reply) -> Known | None:
    """What an answer says that holds no page; None if it may hold one."""
    if reply.status in (404, 410):
        return Known("gone", (f"answered {reply.status}",))
    if reply.status in REFUSING:
        return Known("no", (f"answered {reply.status}",))
    if reply.status is None or not 200 <= reply.status < 300:
        return Known("not asked", (reply.said or f"answered {reply.status}",))
    return None


def target(url: str) -> str:
    parts = urlsplit(url)
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def nos(said: Iterable[Signal]) -> tuple[str, ...]:
    return tuple(f"{signal.where}: {signal.text[:200]}" for signal in said if signal.verdict == "no")


def text(body: bytes) -> str:
    """Enough of it for the names in tags, which are ASCII in every charset but UTF-16."""
    return body.decode("utf-16" if body[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", "replace")
