"""A crawl of three sites over real HTTP, killed again and again: the access logs say what was asked for twice."""

from __future__ import annotations

import random
import subprocess
import time
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest

from tests.web.crawling import ROOT, command, crawl, kept, outcomes, rows
from tests.web.site import HTML, Page, Site, site

PAUSE = 0.05
PAGES = 130  # of each site
KILLS = 20
LATE = 0.5  # seconds after a kill in which the site may still see what was on its way; no process begins so fast


def pages() -> dict[str, Page | str]:
    """A site whose pages lead to the next two, past a folder that nobody may enter."""
    found: dict[str, Page | str] = {
        "/robots.txt": Page(body=f"User-agent: *\nDisallow: /secret/\nCrawl-delay: {PAUSE}\n")
    }
    for number in range(PAGES):
        links = "".join(
            f'<a href="/{after}">x</a><a href="/secret/{after}">x</a>' for after in (number + 1, number + 2)
        )
        found[f"/{number}"] = Page(body=f"<html><body><p>{number}</p>{links}</body></html>", headers=HTML)
    return found


def lost(found: Site, kills: list[float]) -> list[str]:
    """Paths that were asked for again though their answer was not on its way in the moment of a kill."""
    again = []
    for place, (when, path) in enumerate(found.log):
        if path in found.asked[place + 1 :]:
            after = found.log[place + 1][0]
            if not any(when - LATE < kill < after for kill in kills):
                again.append(path)
    return again


@pytest.mark.soak
def test_over_twenty_kills_nothing_that_was_had_is_fetched_again_and_no_pause_is_cut_short(tmp_path: Path) -> None:
    chance = random.Random(17)
    with ExitStack() as stack:
        sites = [stack.enter_context(site(pages())) for _ in range(3)]
        source = {"name": "a", "terms": "CC0", "trust": "high", "depth": 100, "seeds": [f"{s.origin}/0" for s in sites]}
        spec = {"agent": "bot", "contact": "a@example.jp", "pause": 0.01, "sources": [source]}
        kills = []
        for number in range(KILLS):
            (out := tmp_path / f"killed{number}").mkdir()
            process = subprocess.Popen(command(tmp_path / "scratch", out, spec), cwd=ROOT, stderr=subprocess.DEVNULL)
            asked = sum(len(each.log) for each in sites)
            while sum(len(each.log) for each in sites) < asked + chance.randrange(1, 20) and process.poll() is None:
                time.sleep(0.002)
            time.sleep(chance.random() * PAUSE)
            process.kill()
            kills.append(time.monotonic())
            process.wait()
        asked = sum(len(each.log) for each in sites)
        crawl(tmp_path, spec)

    assert asked < sum(len(each.log) for each in sites)  # the last kill, too, came before the end
    assert len(rows(tmp_path / "crawl" / "pages.jsonl")) == 3 * PAGES
    for found in sites:
        assert lost(found, kills) == []
        assert [path for path in found.asked if path.startswith("/secret")] == []
        gaps = [after - before for (before, _), (after, _) in pairwise(found.log[1:])]
        assert min(gaps) >= 0.95 * PAUSE


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
        gaps = [after - before for (before, _), (after, _) in pairwise(found.log)]
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
