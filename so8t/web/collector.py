"""The crawl itself: which URL is asked for next, whether it may be, and what became of it.

Sources of high trust are finished first; a lower tier only fills what they left of the total.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from hashlib import blake2b
from typing import Any, Literal
from urllib.parse import urljoin, urlsplit

from so8t.web import links, signals
from so8t.web.asking import HOPS, Reply, Site, text, without_page
from so8t.web.polite import Polite
from so8t.web.robots import Verdict
from so8t.web.scope import ANOTHER_HOST, TRUSTS, Scope, identity, plain
from so8t.web.signals import Signal

Kind = Literal["page", "sitemap", "feed"]
Row = dict[str, Any]
BEYOND, OUT_OF_SCOPE = "beyond the total", "out of scope"


@dataclass(frozen=True)
class Item:
    """A URL that waits: whose it is, how many links deep, and what it is read as."""

    url: str
    scope: Scope
    depth: int = 0
    kind: Kind = "page"
    hops: int = 0


class Collector:
    """Everything that is known of a running crawl; its methods may be called from several threads."""

    def __init__(self, asker: Polite, scopes: Sequence[Scope], total: int) -> None:
        self.asker, self.scopes, self.total = asker, scopes, total
        self.rows: list[Row] = []
        self.kept = 0
        self.beyond = 0
        self._reserved = 0
        self.forgotten = 0
        self._seen: set[bytes] = set()
        self._met: Counter[tuple[str, str, bool]] = Counter()
        self._asked: Counter[tuple[str, str]] = Counter()
        self._variants: Counter[str] = Counter()
        self._sitemaps: Counter[str] = Counter()
        self._waiting: dict[str, deque[Item]] = {}
        self._busy: set[str] = set()
        self._changed = threading.Condition()
        self._failure: BaseException | None = None

    # ---- who works on what -------------------------------------------------------------------------------------

    def run(self, workers: int) -> None:
        """One tier after another, several hosts at a time."""
        for trust in TRUSTS:
            for scope in self.scopes:
                if scope.trust == trust:
                    self._begin(scope)
            threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            if self._failure is not None:
                raise self._failure

    def _begin(self, scope: Scope) -> None:
        for kind, urls in (("page", scope.seeds), ("sitemap", scope.sitemaps), ("feed", scope.feeds)):
            for url in urls:
                self._add(Item(url, scope, kind=kind), named=True)  # type: ignore[arg-type]

    def _work(self) -> None:
        while (item := self._next()) is not None:
            try:
                self.visit(item)
            except BaseException as error:
                self._failure = error
            finally:
                with self._changed:
                    self._busy.discard(urlsplit(item.url).netloc)
                    self._changed.notify_all()

    def _next(self) -> Item | None:
        """The next of the host that may be asked first; None when nothing waits and nobody can add to it."""
        with self._changed:
            while self._failure is None:
                free = [host for host, waiting in self._waiting.items() if waiting and host not in self._busy]
                if free:
                    host = min(free, key=lambda host: self.asker.pace.ready.get(host, 0.0))
                    self._busy.add(host)
                    return self._waiting[host].popleft()
                if not self._busy:
                    return None
                self._changed.wait()
            return None

    def _add(self, item: Item, named: bool = False) -> None:
        """Wait in line, once for each page, whatever its spelling; what the spec itself names is in its scope."""
        if (url := plain(item.url)) is None:
            return
        why = "" if named or item.kind != "page" else item.scope.refuses(url)
        if why == ANOTHER_HOST:
            return
        with self._changed:
            if not self._is_new(item.scope, url, why, named):
                return
            found = Item(url, item.scope, item.depth, item.kind, item.hops)
            if why:
                self._note(found, OUT_OF_SCOPE, why)
            else:
                self._waiting.setdefault(urlsplit(url).netloc, deque()).append(found)
                self._changed.notify_all()

    def _is_new(self, scope: Scope, url: str, why: str, named: bool) -> bool:
        """Whether it was not met before, and its host did not lead to too many; what one source refuses is its own."""
        known = blake2b(f"{scope.name if why else ''}\0{identity(url)}".encode("utf-8", "replace"), digest_size=16)
        if known.digest() in self._seen:
            return False
        place = scope.name, urlsplit(url).netloc, bool(why)
        if self._met[place] >= scope.remembered and not named:
            self.forgotten += 1
            return False
        self._met[place] += 1
        self._seen.add(known.digest())
        return True

    # ---- one URL -----------------------------------------------------------------------------------------------

    def visit(self, item: Item) -> None:
        site = self.asker.site(item.url)
        verdict, said, known = self.asker.judged(site, item.url)
        if known:
            self._note(item, known.outcome, *known.said)
        elif item.kind != "page":
            self._fetch(item, site, verdict, said)
        elif full := self._reserve(item):
            if full != BEYOND:
                self._note(item, OUT_OF_SCOPE, full)
        else:
            try:
                self._fetch(item, site, verdict, said)
            finally:
                with self._changed:
                    self._reserved -= 1
                    self._changed.notify_all()

    def _reserve(self, item: Item) -> str:
        """Why the page is one too many; else it has its place."""
        parts = urlsplit(item.url)
        with self._changed:
            while self.kept < self.total <= self.kept + self._reserved:
                self._changed.wait()  # a page on its way may turn out not to be kept
            if self.kept >= self.total:
                self.beyond += 1
                return BEYOND
            if self._asked[item.scope.name, parts.netloc] >= item.scope.per_host:
                return f"more than {item.scope.per_host:,} pages of one host"
            variant = f"{parts.netloc}{parts.path}"
            if parts.query and self._variants[variant] >= item.scope.variants:
                return f"more than {item.scope.variants:,} queries of one path"
            self._variants[variant] += bool(parts.query)
            self._asked[item.scope.name, parts.netloc] += 1
            self._reserved += 1
        return ""

    def _fetch(self, item: Item, site: Site, verdict: Verdict, said: list[Signal]) -> None:
        reply = self.asker.page(item.url)
        if reply.leads_to:
            return self._moved(item, urljoin(item.url, reply.leads_to))
        if known := without_page(reply):
            return self._note(item, known.outcome, *known.said)
        if item.kind != "page":
            return self._listed(item, reply)
        return self._page(item, site, verdict, said, reply)

    def _moved(self, item: Item, to: str) -> None:
        if item.hops >= HOPS:
            return self._note(item, "not asked", "redirects without end")
        url = plain(to)
        why = "not a URL of the web" if url is None else item.scope.refuses(url)
        self._note(item, "moved", f"to {to}" + (f", which is out of scope: {why}" if why else ""))
        if not why:
            self._add(Item(to, item.scope, item.depth, item.kind, item.hops + 1))
        return None

    def _listed(self, item: Item, reply: Reply) -> None:
        leads = links.of_feed if item.kind == "feed" else links.of_sitemap
        found = leads(reply.body, item.url)
        self._note(item, "read", f"{len(found.pages):,} pages")
        for url in found.sitemaps if item.hops < HOPS else ():
            if urlsplit(url).netloc in item.scope.hosts and self._takes_sitemap(item.scope):
                self._add(Item(url, item.scope, kind="sitemap", hops=item.hops + 1))
        for url in found.pages:
            self._add(Item(url, item.scope))

    def _takes_sitemap(self, scope: Scope) -> bool:
        """As many as it may have pages."""
        with self._changed:
            self._sitemaps[scope.name] += 1
            return self._sitemaps[scope.name] <= scope.per_host

    def _page(self, item: Item, site: Site, verdict: Verdict, said: list[Signal], reply: Reply) -> None:
        if not reply.is_page:
            return self._note(item, "not a page", reply.header("content-type") or "no content type")
        agent, refusals = self.asker.agent, self.asker.refusals
        own = signals.of_headers(reply.headers, agent, refusals)
        own += signals.of_page(text(reply.body), agent, refusals)
        said = said + own
        if refused := self.asker.refused(said):
            self._note(item, "no", *refused)
        else:
            self._keep(item, site, verdict, said, reply)
        if item.depth < item.scope.depth:
            charset = reply.header("content-type").lower().partition("charset=")[2].strip("\"' ;") or None
            for url in links.of_page(reply.body, item.url, charset).pages:
                self._add(Item(url, item.scope, item.depth + 1))
        return None

    # ---- what became of it -------------------------------------------------------------------------------------

    def _keep(self, item: Item, site: Site, verdict: Verdict, said: list[Signal], reply: Reply) -> None:
        entry = self.asker.entries[item.url]
        parts = urlsplit(item.url)
        origin = f"{parts.scheme}://{parts.netloc}/robots.txt"
        robots = self.asker.entries.get(self.asker.ends.get(origin, origin))
        row = {
            "url": item.url,
            "name": item.scope.name,
            "terms": item.scope.terms,
            "trust": item.scope.trust,
            "fetched": entry.when,
            "depth": item.depth,
            "robots": {
                "said": site.robots.said,
                "digest": robots.digest if robots else "",
                "line": verdict.line,
                "rule": verdict.rule,
            },
            "signals": [asdict(signal) for signal in said],
            "etag": entry.etag,
            "last_modified": entry.modified,
            "content_type": reply.header("content-type"),
            "sha256": hashlib.sha256(reply.body).hexdigest(),
            "digest": entry.digest,
        }
        with self._changed:
            self.kept += 1
            self.rows.append({"outcome": "kept", **row})
            told = self.kept % 100 == 0
        if told:
            print(f"crawl: {self.kept:,} pages", file=sys.stderr, flush=True)

    def _note(self, item: Item, outcome: str, *said: str) -> None:
        row = {"outcome": outcome, "url": item.url, "name": item.scope.name, "said": [each[:300] for each in said]}
        with self._changed:
            self.rows.append(row)
