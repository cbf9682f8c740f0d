"""Debian's manuals in Japanese, from its nginx: a crawl that is killed and goes on, and one by HTTP/2 a week later."""

from __future__ import annotations

import os
import random
import re
import subprocess
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from lxml import html as lxml_html

from so8t.web.archive import Archive
from tests.web.authority import Authority
from tests.web.crawling import ROOT, command, crawl, kept, rows
from tests.web.nginx import nginx
from tests.web.test_crawl import read
from tests.web.test_robots import plain_forbids

pytestmark = pytest.mark.soak

PAUSE, RATE, KILLS = 0.06, 20, 10
ROBOTS = f"User-agent: *\nDisallow: /*/_sources/\nDisallow: /aptitude/html/ja/rn*.html$\nCrawl-delay: {PAUSE}\n"
CHANGED, TOUCHED = "maint-guide-ja/html/start.ja.html", "maint-guide-ja/html/build.ja.html"
BESIDE = ["/robots.txt", "/.well-known/tdmrep.json", "/ai.txt"]


class Crawled:
    """The first crawl is killed again and again; then a page changes, another gets a new date, and a week passes."""

    def __init__(self, folder: Path) -> None:
        ours, chance = Authority(folder), random.Random(17)
        self.folder = folder
        with (
            pytest.MonkeyPatch.context() as patch,
            nginx(folder / "nginx", {"robots.txt": ROBOTS}, ours, "127.0.0.2", RATE) as self.server,
        ):
            patch.setenv("SSL_CERT_FILE", str(ours.path))
            seeds = [f"{self.server.origin}/", f"{self.server.origin}/maint-guide-ja/html"]
            source = {"name": "a", "terms": "GPL-2+", "trust": "high", "depth": 9, "seeds": seeds}
            given = {"agent": "bot", "contact": "a@example.jp", "pause": 0.01, "sources": [source]}
            first = {**given, "as_of": "2026-11-01"}
            self.on_its_way = Counter[str]()
            for number in range(KILLS):
                self._killed(number, first, chance)
            crawl(folder, first)
            self.first = self.server.log
            page = self.server.root / CHANGED
            page.write_text(
                page.read_text("utf-8").replace("</body>", "<p>この段落は一週間の後に加えられました。</p></body>")
            )
            os.utime(self.server.root / TOUCHED)
            crawl(folder, {**given, "as_of": "2026-11-08", "http2": True}, out="after")
            self.second = self.server.log[len(self.first) :]

    def _killed(self, number: int, spec: dict[str, Any], chance: random.Random) -> None:
        (out := self.folder / f"killed{number}").mkdir()
        before = len(self.server.log)
        process = subprocess.Popen(command(self.folder / "scratch", out, spec), cwd=ROOT, stderr=subprocess.DEVNULL)
        until = before + chance.randrange(1, 18)
        while len(self.server.log) < until and process.poll() is None:
            time.sleep(0.002)
        time.sleep(chance.random() * PAUSE * (number % 2))  # or before the answer is in the WARC
        process.kill()
        process.wait()
        self.server.quiet()
        asked = [row["path"] for row in self.server.log[before:]]
        answered = Archive(self.folder / "scratch" / "warc", spec["as_of"]).entries
        self.on_its_way.update(path for path in asked if self.server.origin + path not in answered)


@pytest.fixture(scope="module")
def crawled(tmp_path_factory: pytest.TempPathFactory) -> Crawled:
    return Crawled(tmp_path_factory.mktemp("nginx"))


def test_nothing_is_forbidden_too_fast_or_asked_for_twice(crawled: Crawled) -> None:
    asked = Counter(row["path"] for row in crawled.first)
    print(f"{len(crawled.first)} requests, {sum(crawled.on_its_way.values())} of them on their way in {KILLS} kills")
    assert asked - Counter(set(asked)) == crawled.on_its_way
    for log, protocol in ((crawled.first, "HTTP/1.1"), (crawled.second, "HTTP/2.0")):
        assert [row["path"] for row in log if plain_forbids(ROBOTS.encode(), row["path"])] == []
        assert {row["status"] for row in log} <= {200, 301, 304, 404}  # 429 would be its own judgement of our pace
        assert {row["cookie"] for row in log} == {""}
        assert {row["protocol"] for row in log} == {protocol}
    assert len({row["connection"] for row in crawled.second}) == 1  # kept open, for nobody else asks
    for log in (crawled.first, crawled.second):
        own = [after["at"] - before["at"] for before, after in pairwise(log[-100:])]
        print(f"a gap is {median(own) / PAUSE:.2f} pauses in the median")
        assert min(own) >= PAUSE - 0.001  # nginx tells milliseconds


def test_a_week_later_only_what_changed_is_sent(crawled: Crawled) -> None:
    sent = {row["path"] for row in crawled.second if row["status"] == 200}
    listings = {path for path in sent if path.endswith("/")}  # of folders, which nginx writes anew each time
    assert sent - listings == {"/robots.txt", f"/{CHANGED}", f"/{TOUCHED}"}
    same = [row for row in crawled.second if row["status"] == 304]
    print(f"{len(same)} of {len(crawled.second)} answers are 304")
    assert len(same) + len(sent) + len(BESIDE) == len(crawled.second)  # and a redirect
    assert all(row["if"].startswith('W/"') for row in same)  # a weak tag, for what is packed
    first, after = (
        {row["url"]: row["sha256"] for row in rows(crawled.folder / out / "pages.jsonl")} for out in ("crawl", "after")
    )
    assert first.keys() == after.keys()
    other = [url for url in first if first[url] != after[url] and not url.endswith("/")]
    assert other == [f"{crawled.server.origin}/{CHANGED}"]


def test_every_page_is_kept_but_the_forbidden_and_what_is_not_html(crawled: Crawled) -> None:
    root = crawled.server.root
    every = {"/" + path.relative_to(root).as_posix() for path in root.rglob("*.html") if path.is_file()}
    due = {path for path in every if not plain_forbids(ROBOTS.encode(), path)}
    found = {path for path in kept(crawled.folder / "crawl") if path.endswith(".html")}
    assert len(found) > 130
    assert due - found == {"/debian-policy/ja/policy.html/search.html"}  # a form leads there, and no link


def plain(text: str) -> str:
    return re.sub(r"[\s|]+", "", text)


def test_main_texts_are_what_the_pages_say(crawled: Crawled, tmp_path: Path) -> None:
    """By lxml alone, beside trafilatura: lines that no page has, and paragraphs of pages that no record has."""
    lines, paragraphs, strange, lost = 0, 0, list[str](), list[str]()
    for record in read(crawled.folder, tmp_path / "raw"):
        path = crawled.server.root / record["source"]["url"].split("/", 3)[3]
        if not path.is_file():
            continue
        tree = lxml_html.fromstring(path.read_bytes().partition(b"?>\n")[2] or path.read_bytes())
        page, text = plain(tree.text_content()), plain(record["text"])
        own = [line for each in record["text"].splitlines() if len(line := plain(each.strip("-# *"))) >= 20]
        said = [one for each in tree.iter("p") if len(one := plain(each.text_content())) >= 40]
        lines, paragraphs = lines + len(own), paragraphs + len(said)
        strange += [line for line in own if line not in page]
        lost += [one for one in said if one not in text]
    print(f"{len(strange)} of {lines:,} lines, {len(lost)} of {paragraphs:,} paragraphs")
    assert len(strange) < 0.002 * lines
    assert len(lost) < 0.05 * paragraphs
