"""What a crawl asks for, in which order, and what it keeps: sites in memory, a clock that is moved, WARC on disk."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from so8t.web.archive import Archive
from so8t.web.asking import Pace, Reply
from so8t.web.collector import Collector
from so8t.web.patterns import Pattern
from so8t.web.polite import Polite
from so8t.web.scope import Scope, hosts_of
from so8t.web.signals import REFUSALS

HTML = ("Content-Type", "text/html; charset=utf-8")
ALL = frozenset({"AIPREF", "Content-Signal", "TDMRep", "ai.txt", "X-Robots-Tag", "meta robots"})


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Web:
    """URL -> its answer; `log` is what it was asked for, and when, on its own clock."""

    pages: dict[str, Reply | Callable[[Mapping[str, str]], Reply]]
    log: list[tuple[float, str]] = field(default_factory=list)
    time: float = 0.0
    kill_at: int = -1

    def ask(self, url: str, headers: Mapping[str, str]) -> Reply:
        self.log.append((self.time, url))
        if len(self.log) == self.kill_at:
            raise Killed
        found = self.pages.get(url, Reply(404))
        self.time += 0.01
        return found(headers) if callable(found) else found

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    @property
    def asked(self) -> list[str]:
        return [url for _, url in self.log if not url.endswith(("robots.txt", "tdmrep.json", "ai.txt"))]


def page(*links: str, **headers: str) -> Reply:
    body = "<html><body>" + "".join(f'<a href="{link}">x</a>' for link in links) + "</body></html>"
    return Reply(200, (HTML, *((name.replace("_", "-"), value) for name, value in headers.items())), body.encode())


def text(body: str) -> Reply:
    return Reply(200, (("Content-Type", "text/plain"),), body.encode())


def scope(*seeds: str, **more: Any) -> Scope:
    begins = (*seeds, *more.get("sitemaps", ()), *more.get("feeds", ()))
    given = {"name": "a", "terms": "CC0", "trust": "high", "hosts": hosts_of(begins), **more}
    return Scope(seeds=seeds, **given)


def crawl(
    web: Web,
    folder: Path,
    *scopes: Scope,
    total: int = 100,
    round_: str = "0000-00-00",
    counted: frozenset[str] = ALL,
    now: Callable[[], float] = time.time,
) -> Collector:
    pace = Pace(1.0, lambda: web.time, web.sleep)
    asker = Polite(web.ask, "bot", REFUSALS, pace, Archive(folder, round_), now, counted)
    collector = Collector(asker, scopes, total)
    collector.run(1)
    return collector


def kept(collector: Collector) -> list[str]:
    return [row["url"] for row in collector.rows if row["outcome"] == "kept"]


A, B = "https://a.example", "https://b.example"


def test_a_lower_tier_only_fills_what_the_higher_left(tmp_path: Path) -> None:
    web = Web({f"{A}/": page("/1", "/2"), f"{A}/1": page(), f"{A}/2": page(), f"{B}/": page("/1"), f"{B}/1": page()})
    low, high = scope(f"{B}/", name="b", trust="low"), scope(f"{A}/")

    found = crawl(web, tmp_path, low, high, total=4)

    assert kept(found) == [f"{A}/", f"{A}/1", f"{A}/2", f"{B}/"]
    assert found.beyond == 1
    assert f"{B}/1" not in web.asked


def test_a_page_that_another_source_links_to_or_refuses_is_had_all_the_same(tmp_path: Path) -> None:
    web = Web({f"{A}/": page(f"{B}/", f"{B}/1", "/in/2"), f"{A}/in/2": page(), f"{B}/": page("/1"), f"{B}/1": page()})
    first = scope(f"{A}/", deny=(Pattern.read(b"/in/"),))
    second = scope(f"{A}/in/2", name="c", trust="medium", allow=(Pattern.read(b"/in/"),))

    found = crawl(web, tmp_path, first, second, scope(f"{B}/", name="b", trust="low"))

    assert kept(found) == [f"{A}/", f"{A}/in/2", f"{B}/", f"{B}/1"]


def test_the_total_is_what_is_kept_and_not_what_is_asked_for(tmp_path: Path) -> None:
    web = Web({f"{A}/": page("/1", "/2", "/3"), f"{A}/1": Reply(402), f"{A}/2": page(), f"{A}/3": page()})

    assert kept(crawl(web, tmp_path, scope(f"{A}/"), total=2)) == [f"{A}/", f"{A}/2"]


def test_sitemaps_and_feeds_lead_to_pages_of_their_own_host(tmp_path: Path) -> None:
    parts = "".join(f"<sitemap><loc>{origin}/part.xml</loc></sitemap>" for origin in (A, B))
    index = f"<sitemapindex>{parts}</sitemapindex>"
    part = f'<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>{A}/1</loc></url></urlset>'
    feed = f"<rss><channel><link>{A}/</link><item><link>{A}/2</link></item></channel></rss>"
    web = Web({f"{A}/index.xml": text(index), f"{A}/part.xml": text(part), f"{A}/rss": text(feed)})
    web.pages |= {f"{A}/1": page("/deep"), f"{A}/2": page()}

    found = crawl(web, tmp_path, scope(sitemaps=(f"{A}/index.xml",), feeds=(f"{A}/rss",), depth=0))

    assert sorted(kept(found)) == [f"{A}/1", f"{A}/2"]
    assert sorted(web.asked) == [f"{A}/1", f"{A}/2", f"{A}/index.xml", f"{A}/part.xml", f"{A}/rss"]


def test_patterns_depth_and_quotas_bound_what_is_asked_for(tmp_path: Path) -> None:
    web = Web({f"{A}/": page("/in/1", "/out/1", "/in/no/1", *(f"/in/q?m={n}" for n in range(9)))})
    web.pages |= {f"{A}/in/1": page("/in/2"), f"{A}/in/2": page("/in/3")}
    bounded = scope(f"{A}/", allow=(Pattern.read(b"/in/"),), deny=(Pattern.read(b"/in/no"),))

    crawl(web, tmp_path, replace(bounded, depth=2, variants=2))

    assert web.asked == [f"{A}/", f"{A}/in/1", f"{A}/in/q?m=0", f"{A}/in/q?m=1", f"{A}/in/2"]


def test_a_closed_site_is_asked_for_nothing_but_its_robots_txt(tmp_path: Path) -> None:
    web = Web({f"{A}/robots.txt": Reply(503), f"{A}/": page()})

    found = crawl(web, tmp_path, scope(f"{A}/"))

    assert [url for _, url in web.log] == [f"{A}/robots.txt"]
    assert [(row["outcome"], row["said"]) for row in found.rows] == [("not asked", ["robots.txt answered 503"])]


PAUSES = [
    ("Crawl-delay: 3\nRequest-rate: 1/7s", 7.0),
    ("Crawl-delay: 7\nRequest-rate: 2/3s", 7.0),
    ("Request-rate: 30/1m", 2.0),
    ("Crawl-delay: 1.5", 1.5),
    ("Crawl-delay: 0.2", 1.0),  # the crawl's own pause is longer
    ("", 1.0),
]


@pytest.mark.parametrize(("said", "pause"), PAUSES, ids=[said for said, _ in PAUSES])
def test_the_longest_pause_lies_between_any_two_requests_and_is_not_five_per_cent_longer(
    tmp_path: Path, said: str, pause: float
) -> None:
    web = Web({f"{A}/robots.txt": text(f"User-agent: *\n{said}\n"), f"{A}/": page("/1"), f"{A}/1": page()})

    crawl(web, tmp_path, scope(f"{A}/"))

    gaps = [after - before for (before, _), (after, _) in pairwise(web.log)]
    assert len(gaps) == 4
    assert all(pause <= gap <= 1.05 * pause for gap in gaps)


def test_hosts_that_are_asked_in_turn_keep_their_own_pauses(tmp_path: Path) -> None:
    pauses = {A: 1.0, B: 2.5, "https://c.example": 6.0}
    web = Web({f"{host}/robots.txt": text(f"User-agent: *\nCrawl-delay: {pauses[host]}") for host in pauses})
    web.pages |= {f"{host}/{number}": page(f"/{number + 1}") for host in pauses for number in range(40)}

    crawl(web, tmp_path, scope(*(f"{host}/0" for host in pauses), depth=100), total=90)

    for host, pause in pauses.items():
        times = [when for when, url in web.log if url.startswith(host)]
        gaps = [after - before for before, after in pairwise(times)]
        assert min(gaps) >= pause
        assert median(gaps) <= 1.05 * pause


@pytest.mark.parametrize("at", range(1, 9))
def test_a_killed_crawl_goes_on_and_asks_for_nothing_again_that_it_had(tmp_path: Path, at: int) -> None:
    pages = {f"{A}/": page("/1", "/2"), f"{A}/1": page("/3"), f"{A}/2": Reply(301, (("Location", "/4"),))}
    pages |= {f"{A}/3": Reply(None, said="timed out"), f"{A}/4": page()}
    whole, web = Web(dict(pages)), Web(dict(pages), kill_at=at)
    in_peace = crawl(whole, tmp_path / "whole", scope(f"{A}/"))

    with pytest.raises(Killed):
        crawl(web, tmp_path / "killed", scope(f"{A}/"))
    for path in (tmp_path / "killed").glob("*.warc.gz"):
        path.write_bytes(path.read_bytes() + path.read_bytes()[:40])  # a record that the kill tore
    before, killed = len(web.log), web.time
    gone_on = crawl(web, tmp_path / "killed", scope(f"{A}/"))

    had = [url for _, url in web.log[: before - 1] if url != f"{A}/3"]  # no answer came from there
    assert sorted(had + [url for _, url in web.log[before:]]) == sorted(url for _, url in whole.log)
    assert web.log[before][0] - killed >= 1.0 or at == 1
    strip = ("fetched",)
    assert [{k: v for k, v in row.items() if k not in strip} for row in gone_on.rows] == [
        {k: v for k, v in row.items() if k not in strip} for row in in_peace.rows
    ]


def test_a_later_round_asks_only_for_what_changed(tmp_path: Path) -> None:
    def same(headers: Mapping[str, str]) -> Reply:
        asked.append(dict(headers))
        return Reply(304, (("ETag", '"1"'),)) if headers.get("If-None-Match") == '"1"' else page("/1", ETag='"1"')

    asked: list[dict[str, str]] = []
    web = Web({f"{A}/": same, f"{A}/1": page(Last_Modified="Sat, 28 Nov 2026 00:00:00 GMT")})
    first = crawl(web, tmp_path, scope(f"{A}/"), round_="2026-11-01")
    second = crawl(web, tmp_path, scope(f"{A}/"), round_="2026-11-28")

    assert asked == [{}, {"If-None-Match": '"1"'}]
    assert kept(first) == kept(second) == [f"{A}/", f"{A}/1"]
    assert [row["sha256"] for row in first.rows] == [row["sha256"] for row in second.rows]
    placed = second.asker.archive.export(tmp_path / "warc")
    assert {row["digest"] for row in second.rows} <= placed.keys()


def test_a_host_that_asks_for_a_long_wait_is_not_asked_again(tmp_path: Path) -> None:
    web = Web({f"{A}/": Reply(429, (("Retry-After", "86400"),))})

    found = crawl(web, tmp_path, scope(f"{A}/"))

    assert web.asked == [f"{A}/"]
    assert found.rows[0]["said"] == ["answered 429: come again in 86,400 seconds"]


SPEAKING = {
    f"{A}/robots.txt": text("User-agent: *\nContent-Signal: /signal ai-train=no\nContent-Usage: /usage train-ai=n\n"),
    f"{A}/.well-known/tdmrep.json": text('[{"location": "/tdm", "tdm-reservation": 1}]'),
    f"{A}/ai.txt": text("User-agent: *\nDisallow: /ai\n"),
    f"{A}/": page("/signal", "/usage", "/tdm", "/ai", "/tag", "/head"),
    **{f"{A}/{name}": page() for name in ("signal", "usage", "tdm", "ai")},
    f"{A}/tag": page(X_Robots_Tag="noai"),
    f"{A}/head": page(tdm_reservation="1"),
}


def test_a_no_in_any_vocabulary_is_a_decision_and_most_are_known_without_asking(tmp_path: Path) -> None:
    web = Web(dict(SPEAKING))

    found = crawl(web, tmp_path, scope(f"{A}/"))

    assert {row["url"].rpartition("/")[2]: row["said"] for row in found.rows if row["outcome"] == "no"} == {
        "signal": ["robots.txt:2: content-signal: /signal ai-train=no"],
        "usage": ["robots.txt:3: content-usage: /usage train-ai=n"],
        "tdm": ['/.well-known/tdmrep.json: {"location": "/tdm", "tdm-reservation": 1}'],
        "ai": ["/ai.txt:2: disallow: /ai"],
        "tag": ["header x-robots-tag: noai"],
        "head": ["header tdm-reservation: 1"],
    }
    assert web.asked == [f"{A}/", f"{A}/tag", f"{A}/head"]


def test_a_vocabulary_that_does_not_count_is_kept_with_the_page_all_the_same(tmp_path: Path) -> None:
    found = crawl(Web(dict(SPEAKING)), tmp_path, scope(f"{A}/"), counted=ALL - {"TDMRep"})

    pages = {row["url"].rpartition("/")[2]: row for row in found.rows if row["outcome"] == "kept"}
    assert sorted(pages) == ["", "head", "tdm"]
    assert [(signal["where"], signal["verdict"]) for signal in pages["head"]["signals"]] == [
        ("header tdm-reservation", "no")
    ]


def test_the_digest_of_robots_txt_is_that_of_the_file_it_redirects_to(tmp_path: Path) -> None:
    robots = text("User-agent: *\nAllow: /\n")
    web = Web({f"{A}/robots.txt": Reply(301, (("Location", "/r"),)), f"{A}/r": robots, f"{A}/": page()})

    (row,) = crawl(web, tmp_path, scope(f"{A}/")).rows

    digest = f"sha256:{hashlib.sha256(robots.body).hexdigest()}"
    assert row["robots"] == {"said": "robots.txt answered 200", "digest": digest, "line": 2, "rule": "allow: /"}


def test_robots_txt_is_asked_for_again_after_a_day(tmp_path: Path) -> None:
    web = Web({f"{A}/": page("/1", "/2"), f"{A}/1": page(), f"{A}/2": page()})
    ages = iter([0.0, 86_401.0, 0.0, 0.0])  # of the answer, at each page and after it was asked for again

    crawl(web, tmp_path, scope(f"{A}/"), now=lambda: time.time() + next(ages))

    names = [url.removeprefix(A) for _, url in web.log if not url.endswith(("tdmrep.json", "ai.txt"))]
    assert names == ["/robots.txt", "/", "/robots.txt", "/1", "/2"]
