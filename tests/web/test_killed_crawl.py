"""A crawl of three sites, one over HTTP and two over HTTPS, killed again and again: their access logs are the judge."""

from __future__ import annotations

import random
import subprocess
import time
from collections import Counter
from collections.abc import Container
from contextlib import ExitStack
from pathlib import Path

import pytest

from so8t.web.archive import Archive
from stages.crawl import ONCE
from tests.web.authority import Authority
from tests.web.crawling import ROOT, command, crawl, kept, outcomes, rows
from tests.web.site import HTML, Page, Site, site

PAUSE = 0.05
PAGES = 130  # of each site
KILLS = 20


def pages() -> dict[str, Page | str]:
    """A site whose pages lead to the next two, past a folder that nobody may enter; some of them come slowly."""
    found: dict[str, Page | str] = {
        "/robots.txt": Page(body=f"User-agent: *\nDisallow: /secret/\nCrawl-delay: {PAUSE}\n")
    }
    for number in range(PAGES):
        links = "".join(
            f'<a href="/{after}">x</a><a href="/secret/{after}">x</a>' for after in (number + 1, number + 2)
        )
        body = f"<html><body><p>{number}</p>{links}</body></html>"
        found[f"/{number}"] = Page(body=body, headers=HTML, slow=PAUSE * (number % 3))
    return found


def unanswered(found: Site, before: int, answered: Container[str]) -> list[str]:
    """URLs that were asked for since, and whose answer was not kept."""
    urls = (found.origin + path for path in found.asked[before:])
    return [url for url in urls if url not in answered]


@pytest.mark.soak
def test_over_twenty_kills_only_what_had_no_answer_in_the_warc_is_asked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance, ours = random.Random(17), Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(ours.path))
    with ExitStack() as stack:
        tls = [None, *(ours.server(f"127.0.0.{number}") for number in (2, 3))]
        sites = [stack.enter_context(site(pages(), each, f"127.0.0.{at}")) for at, each in enumerate(tls, 1)]
        source = {"name": "a", "terms": "CC0", "trust": "high", "depth": 100, "seeds": [f"{s.origin}/0" for s in sites]}
        spec = {"agent": "bot", "contact": "a@example.jp", "pause": 0.01, "sources": [source]}
        on_its_way = Counter[str]()
        for number in range(KILLS):
            (out := tmp_path / f"killed{number}").mkdir()
            before = [len(each.log) for each in sites]
            process = subprocess.Popen(command(tmp_path / "scratch", out, spec), cwd=ROOT, stderr=subprocess.DEVNULL)
            until = sum(before) + chance.randrange(1, 20)
            while sum(len(each.log) for each in sites) < until and process.poll() is None:
                time.sleep(0.002)
            time.sleep(chance.random() * PAUSE)
            process.kill()
            process.wait()
            for each in sites:
                each.quiet()
            answered = Archive(tmp_path / "scratch" / "warc", ONCE).entries
            lost = [unanswered(*each, answered) for each in zip(sites, before, strict=True)]
            assert max(map(len, lost)) <= 1  # one request at a time to a host
            on_its_way.update(url for urls in lost for url in urls)
        asked = sum(len(each.log) for each in sites)
        crawl(tmp_path, spec)

    assert asked < sum(len(each.log) for each in sites)  # the last kill, too, came before the end
    assert len(rows(tmp_path / "crawl" / "pages.jsonl")) == 3 * PAGES
    every = Counter(each.origin + path for each in sites for path in each.asked)
    print(f"{sum(on_its_way.values())} of {sum(every.values()):,} requests were on their way in {KILLS} kills")
    assert every - Counter(set(every)) == on_its_way
    for found in sites:
        assert [path for path in found.asked if path.startswith("/secret")] == []
        known = len(found.log) - found.asked[::-1].index("/robots.txt") - 1  # who has read it knows the pause
        assert min(found.gaps[known:]) >= PAUSE


@pytest.mark.soak
def test_a_slow_answer_and_a_huge_page_are_given_up_and_a_crawl_without_a_page_is_not_published(tmp_path: Path) -> None:
    html = {"Content-Type": "text/html"}
    links = Page(body='<a href="/slow">x</a><a href="/drip">x</a><a href="/huge">x</a>', headers=html)
    given = {
        "/drip": Page(body="x" * 60, headers=html, drip=0.2),
        "/slow": Page(body="x", headers=html, slow=6.0),
        "/huge": Page(body=bytes(5 << 20), headers=html),
    }
    with site({"/": links, **given, "/closed": Page(403)}) as found:
        seed = {"name": "a", "terms": "CC0", "trust": "high", "seeds": [found.origin + "/"]}
        spec = {"agent": "bot", "contact": "a@example.jp", "pause": 0, "timeout": 2.0, "max_page": 1 << 20}
        crawl(tmp_path, {**spec, "sources": [seed]})
        gaps = found.gaps
        closed = {**spec, "sources": [{**seed, "seeds": [found.origin + "/closed"]}]}
        (tmp_path / "none").mkdir()
        run = subprocess.run(
            command(tmp_path / "other", tmp_path / "none", closed), cwd=ROOT, capture_output=True, encoding="utf-8"
        )

    assert kept(tmp_path / "crawl") == ["/"]
    assert [said[0] for said in outcomes(tmp_path / "crawl").values()] == ["not asked"] * 3
    assert all(1.9 < gap < 3.5 for gap in gaps[-2:])  # each was given up when its time was over
    assert run.stderr.splitlines()[-1] == (
        f"so8t.errors.StageError: crawl: no page was kept ({found.origin}/closed: no: answered 403); "
        "nothing is published, and doit crawl asks again"
    )


@pytest.mark.soak
def test_a_later_crawl_is_sent_only_what_changed_and_has_the_rest_all_the_same(tmp_path: Path) -> None:
    day = "Sat, 28 Nov 2026 00:00:00 GMT"
    first = Page(body='<p>一<a href="/a">x</a><a href="/b">x</a>', headers=HTML | {"ETag": '"1"'})
    dated = Page(body="<p>二", headers=HTML | {"Last-Modified": day})
    with site({"/robots.txt": Page(404), "/": first, "/a": dated, "/b": Page(body="<p>三", headers=HTML)}) as found:
        source = {"name": "a", "terms": "CC0", "trust": "high", "seeds": [found.origin + "/"]}
        spec = {"agent": "bot", "contact": "a@example.jp", "pause": 0, "sources": [source]}
        crawl(tmp_path, {**spec, "as_of": "2026-11-01"}, out="before")
        crawl(tmp_path, {**spec, "as_of": "2026-11-08"}, out="after")
        asked = dict(zip(found.asked[-3:], found.conditions[-3:], strict=True))

    assert asked == {"/": '"1"', "/a": day, "/b": ""}
    before, after = (rows(tmp_path / out / "pages.jsonl") for out in ("before", "after"))
    own = ("url", "sha256", "etag", "last_modified", "content_type")
    assert [[row[key] for key in own] for row in after] == [[row[key] for key in own] for row in before]
    assert len(after) == 3
