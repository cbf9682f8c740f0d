"""crawl: pages of the sites that you name, as WARC, with every decision about them; only on request.

It reaches into the web, and nothing else in so8t brings pages from there: `raw` reads what it left.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from so8t.engine.stage import Inputs, Stage
from so8t.errors import StageError
from so8t.spec.fields import SpecModel, execution
from so8t.web import scope, scrapydoor
from so8t.web.archive import Archive
from so8t.web.asking import Pace
from so8t.web.collector import Collector
from so8t.web.patterns import Pattern
from so8t.web.polite import Get, Polite

ONCE = "0000-00-00"  # the round of a crawl without a day
Vocabulary = Literal["AIPREF", "Content-Signal", "TDMRep", "ai.txt", "X-Robots-Tag", "meta robots"]
Directive = Literal["noai", "noimageai", "noindex"]


def _of_the_web(urls: tuple[str, ...]) -> tuple[str, ...]:
    for url in urls:
        if scope.plain(url) is None:
            raise ValueError(f"{url} is not a URL of the web; write it as https://example.jp/articles/")
    return urls


def _paths(patterns: tuple[str, ...]) -> tuple[str, ...]:
    for pattern in patterns:
        if not pattern.startswith(("/", "*")):
            raise ValueError(f"{pattern} begins with neither / nor *; write it as in robots.txt: /articles/*.html$")
    return patterns


def _day(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date) else value


Urls = Annotated[tuple[str, ...], AfterValidator(_of_the_web)]
Patterns = Annotated[tuple[str, ...], AfterValidator(_paths)]


class Site(SpecModel):
    """One source of the web: where it begins, where it ends, and on which terms."""

    name: str = Field(min_length=1, max_length=80)
    """How provenance calls it."""
    terms: str = Field(min_length=1)
    """Its licence or terms of use; a site without terms is not crawled."""
    trust: Literal["high", "medium", "low"]
    """How far its content is believed: high is crawled first, and a lower one only fills what is left of the total."""
    seeds: Urls = ()
    """Pages to begin with."""
    sitemaps: Urls = ()
    """Sitemaps, indexes of them, or texts with a URL a line; also as .gz."""
    feeds: Urls = ()
    """RSS or Atom feeds."""
    hosts: tuple[str, ...] = ()
    """Hosts that belong to it, with a port where there is one; empty takes those of seeds, sitemaps and feeds."""
    allow: Patterns = ()
    """Paths that are taken, as robots.txt writes them (`*` and a last `$`); empty takes all."""
    deny: Patterns = ()
    """Paths that are never taken; they overrule `allow`."""
    depth: int = Field(3, ge=0, le=100)
    """How many links deep it goes from a seed, a sitemap's page or a feed's."""
    per_host: int = Field(1000, ge=1)
    """The most pages that are asked for at one host."""
    variants: int = Field(20, ge=0)
    """The most queries (`?month=...`) of one path, so that a calendar ends."""

    @model_validator(mode="after")
    def _begins_somewhere(self) -> Site:
        if not (self.seeds or self.sitemaps or self.feeds):
            raise ValueError("give seeds, sitemaps or feeds")
        return self

    def scope(self) -> scope.Scope:
        begins = (*self.seeds, *self.sitemaps, *self.feeds)
        return scope.Scope(
            name=self.name,
            terms=self.terms,
            trust=self.trust,
            seeds=self.seeds,
            sitemaps=self.sitemaps,
            feeds=self.feeds,
            hosts=frozenset(map(scope.host_of, self.hosts)) or scope.hosts_of(begins),
            allow=tuple(Pattern.read(each.encode()) for each in self.allow),
            deny=tuple(Pattern.read(each.encode()) for each in self.deny),
            depth=self.depth,
            per_host=self.per_host,
            variants=self.variants,
        )


class Spec(SpecModel):
    """Which sites are crawled, in whose name, and what counts as a no."""

    agent: str = Field("", pattern=r"^[A-Za-z_-]*$")
    """Your crawler's name in robots.txt: letters, - and _."""
    contact: str = execution("", pattern=r"^(\S*[@:]\S+)?$")
    """A mail address or URL at which operators can ask you to stop; it goes into the User-Agent."""
    sources: tuple[Site, ...] = ()
    """The sites; without any there is nothing to crawl."""
    as_of: Annotated[str, BeforeValidator(_day), Field(pattern=r"^\d{4}-\d{2}-\d{2}$")] | None = None
    """The day of this crawl, as 2026-11-28: a later day crawls again, and fetches only what changed since."""
    total: int = Field(10_000, ge=1)
    """The most pages that are kept."""
    signals: tuple[Vocabulary, ...] = ("AIPREF", "Content-Signal", "TDMRep", "ai.txt", "X-Robots-Tag", "meta robots")
    """The vocabularies whose no counts; robots.txt always does."""
    refusals: tuple[Directive, ...] = ("noai", "noimageai")
    """Directives of X-Robots-Tag and meta robots that are a no."""
    max_page: int = Field(5 << 20, ge=1 << 10, le=1 << 30)
    """The largest page, in bytes after decompression; of a larger one nothing is kept."""
    timeout: float = execution(30.0, gt=0)
    """Seconds for a whole answer."""
    pause: float = execution(1.0, ge=0)
    """The least seconds between two requests to one host; a longer Crawl-delay or Request-rate counts."""
    at_once: int = execution(8, ge=1, le=64)
    """How many hosts are asked at the same time, each by one request at a time."""

    http2: bool = execution(False)
    """HTTP/2 with sites that offer it over HTTPS, by Scrapy's handler on httpx, which it calls experimental."""

    @field_validator("sources")
    @classmethod
    def _names_differ(cls, sources: tuple[Site, ...]) -> tuple[Site, ...]:
        counts = Counter(source.name for source in sources)
        if twice := [name for name, count in counts.items() if count > 1]:
            raise ValueError(f"two sources are called {twice[0]}")
        return sources

    @model_validator(mode="after")
    def _says_who_asks(self) -> Spec:
        if self.sources and not (self.agent and self.contact):
            raise ValueError("sources need agent and contact, so that a site can say no to you")
        return self


def lacks(spec: Spec) -> Iterator[str]:
    if not spec.sources:
        yield "crawl.sources is empty: name sites in specs/<profile>/crawl.yaml; docs/collect.md shows five lines"


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    if not spec.sources:
        raise StageError(*lacks(spec))
    archive = Archive(inputs.scratch / "warc", spec.as_of or ONCE)
    found = list[Collector]()

    def work(get: Get) -> None:
        refusals, counted = frozenset(spec.refusals), frozenset(spec.signals)
        asker = Polite(get, spec.agent, refusals, Pace(spec.pause), archive, vocabularies=counted)
        found.append(Collector(asker, [source.scope() for source in spec.sources], spec.total))
        found[0].run(spec.at_once)

    user_agent = f"{spec.agent}/1.0 (+{spec.contact})"
    scrapydoor.crawl(work, user_agent, spec.timeout, spec.max_page, spec.at_once, spec.http2)
    _write(found[0], archive, out)


def _write(collector: Collector, archive: Archive, out: Path) -> None:
    if not collector.kept:
        told = "; ".join(f"{row['url']}: {row['outcome']}: {', '.join(row['said'])}" for row in collector.rows[:3])
        raise StageError(f"crawl: no page was kept ({told}); nothing is published, and doit crawl asks again")
    placed = archive.export(out / "warc")
    kept = sorted((row for row in collector.rows if row["outcome"] == "kept"), key=lambda row: row["url"])
    others = sorted((row for row in collector.rows if row["outcome"] != "kept"), key=lambda row: row["url"])
    pages = []
    for row in kept:
        file, offset = placed[row["digest"]]
        pages.append(
            {key: row[key] for key in row if key not in ("outcome", "digest")} | {"warc": file, "offset": offset}
        )
    _lines(out / "pages.jsonl", pages)
    _lines(out / "decisions.jsonl", others)
    counts = {"kept": len(pages), **Counter(row["outcome"] for row in others)}
    counts |= {"beyond the total": collector.beyond, "not remembered": collector.forgotten}
    stats = {"outcomes": {name: count for name, count in sorted(counts.items()) if count}}
    (out / "stats.json").write_bytes(orjson.dumps(stats, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    told = ", ".join(f"{count:,} {name}" for name, count in counts.items() if count)
    print(f"crawl: {told or 'nothing was found'}", file=sys.stderr)


def _lines(path: Path, rows: list[dict[str, Any]]) -> None:
    with path.open("wb") as out:
        out.writelines(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)


STAGE = Stage(
    "crawl",
    spec=Spec,
    build=build,
    gives=("warc/", "pages.jsonl", "decisions.jsonl", "stats.json"),
    packages=("lxml", "orjson", "scrapy", "warcio"),
    precious=True,
    private=True,
    lacks=lacks,
    on_request=True,
)
