"""A crawl over real HTTP and HTTPS by Scrapy: the access log of the site is the judge."""

from __future__ import annotations

import gzip
import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from so8t.engine.stage import Inputs, Source
from stages import raw as raw_stage
from tests.web.authority import Authority
from tests.web.crawling import crawl, kept, outcomes, rows
from tests.web.site import HTML, Page, Site, site

pytestmark = pytest.mark.slow

SENTENCE = "この記事は、地域の図書館がどのように本を選び、並べ、貸し出しているかを、司書の話とともに紹介しています。"
PAUSE = 0.05


def article(title: str, *links: str, head: str = "", charset: str = "utf-8") -> Page:
    anchors = "".join(f'<a href="{link}">次へ</a> ' for link in links)
    body = (
        f"<html><head><title>{title}</title>{head}</head><body><nav>{anchors}</nav>"
        f"<article><h1>{title}</h1><p>{title}: {SENTENCE}</p><p>{SENTENCE * 3}</p></article></body></html>"
    )
    return Page(body=body.encode(charset), headers=HTML if charset == "utf-8" else {"Content-Type": "text/html"})


ROBOTS = f"User-agent: *\nDisallow: /secret/\nDisallow: /*.cgi$\nCrawl-delay: {PAUSE}\n"
PAGES = {
    "/robots.txt": Page(body=ROBOTS, headers={"Content-Type": "text/plain"}),
    "/": article(
        "入口",
        "/a?PHPSESSID=11",
        "/b",
        "/secret/x",
        "/run.cgi",
        "/noai",
        "/header",
        "/paid",
        "/moved",
        "/away",
        "/bomb",
        "/sjis",
        "/cal?m=1",
        "/busy",
        "/picture.png",
        "/loop/loop/loop/x",
        "mailto:somebody@example.jp",
        "http://127.0.0.1:9/elsewhere",
        "/gone",
        "/broken",
        "/endless",
    ),
    "/endless": Page(endless=True),
    "/broken": Page(500, headers={"Set-Cookie": "visit=1"}),
    "/a": article("甲", "/a?PHPSESSID=22", "/deep1"),
    "/b": article("乙", "/a#top"),
    "/deep1": article("深一", "/deep2"),
    "/deep2": article("深二"),
    "/noai": article("拒否", head='<meta name="robots" content="noai">'),
    "/header": Page(body=article("見出し").body, headers={**HTML, "Content-Usage": "train-ai=n"}),
    "/paid": Page(402),
    "/moved": Page(301, headers={"Location": "/b"}),
    "/away": Page(302, headers={"Location": "http://127.0.0.1:9/"}),
    "/bomb": Page(body=gzip.compress(bytes(20 << 20)), headers={**HTML, "Content-Encoding": "gzip"}),
    "/busy": Page(429, headers={"Retry-After": "1"}, then=article("混雑")),
    "/sjis": article("文字", head='<meta charset="Shift_JIS">', charset="cp932"),
    **{f"/cal?m={month}": article(f"{month}月", f"/cal?m={month + 1}") for month in range(1, 30)},
}


def spec(origin: str, **more: Any) -> dict[str, Any]:
    source = {
        "name": "図書館",
        "terms": "CC BY 4.0",
        "trust": "high",
        "seeds": [origin + "/"],
        "depth": 2,
        "variants": 3,
    }
    own = {key: more.pop(key) for key in list(more) if key in ("seeds", "sitemaps", "feeds", "deny", "allow", "trust")}
    return {
        "agent": "example-crawler",
        "contact": "mailto:crawler@example.jp",
        "pause": 0.02,
        "max_page": 1 << 20,
        "sources": [{**source, **own}],
        **more,
    }


class Crawled:
    def __init__(self, folder: Path, tls: ssl.SSLContext | None) -> None:
        self.folder = folder
        with site(PAGES, tls) as found:
            self.site: Site = found
            self.said = crawl(folder, spec(found.origin))


@pytest.fixture(scope="module", params=["http", "https"])
def crawled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crawled]:
    folder = tmp_path_factory.mktemp(request.param)
    ours = Authority(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(ours.path))
        yield Crawled(folder, ours.server("127.0.0.1") if request.param == "https" else None)


def test_nothing_forbidden_is_asked_for_and_each_page_once(crawled: Crawled) -> None:
    asked = crawled.site.asked
    assert [path for path in asked if path.startswith("/secret") or path.endswith(".cgi")] == []
    assert sorted(path for path in set(asked) if asked.count(path) > 1) == ["/busy"]
    assert asked[:3] == ["/robots.txt", "/.well-known/tdmrep.json", "/ai.txt"]
    assert crawled.site.cookies == []
    assert crawled.site.agents == {"example-crawler/1.0 (+mailto:crawler@example.jp)"}


def test_no_request_comes_before_the_pause_is_over(crawled: Crawled) -> None:
    assert min(crawled.site.gaps) >= PAUSE


def test_a_host_that_says_when_to_come_again_is_left_alone_until_then(crawled: Crawled) -> None:
    busy = [place for place, path in enumerate(crawled.site.asked) if path == "/busy"]
    assert len(busy) == 2
    assert crawled.site.log[busy[0] + 1][0] - crawled.site.log[busy[0]][0] >= 1.0


def test_every_url_has_its_decision(crawled: Crawled) -> None:
    folder = crawled.folder / "crawl"
    assert kept(folder) == ["/", "/a", "/b", "/busy", "/cal?m=1", "/cal?m=2", "/deep1", "/sjis"]
    found = outcomes(folder)
    assert found.pop("/bomb")[0] == "not asked"
    assert found == {
        "/broken": ["not asked", "answered 500"],
        "/away": ["moved", "to http://127.0.0.1:9/, which is out of scope: another host"],
        "/endless": ["not asked", "its headers do not end"],
        "/gone": ["gone", "answered 404"],
        "/header": ["no", "header content-usage: train-ai=n"],
        "/loop/loop/loop/x": ["out of scope", "a path that repeats itself"],
        "/moved": ["moved", f"to {crawled.site.origin}/b"],
        "/noai": ["no", "meta robots: noai"],
        "/paid": ["no", "answered 402"],
        "/picture.png": ["out of scope", "the name of a file that is not a page"],
        "/run.cgi": ["no", "robots.txt:3: disallow: /*.cgi$"],
        "/secret/x": ["no", "robots.txt:2: disallow: /secret/"],
    }


def read(folder: Path, out: Path) -> list[dict[str, Any]]:
    """The records of `raw` from the crawl in the folder."""
    files = [folder / "crawl" / "pages.jsonl", *sorted((folder / "crawl" / "warc").iterdir())]
    sources = {"web": tuple(Source(path.relative_to(folder).as_posix(), path) for path in files)}
    out.mkdir()
    values = raw_stage.Spec(sources=[{"name": "web", "kind": "web", "crawl": "crawl"}])  # type: ignore[list-item]
    raw_stage.build(Inputs({}, sources), out, values)
    return rows(out / "raw.jsonl")


def test_raw_reads_main_texts_with_their_provenance_and_the_same_bytes_twice(crawled: Crawled, tmp_path: Path) -> None:
    found = read(crawled.folder, tmp_path / "raw")
    assert [record["tags"]["title"] for record in found] == ["入口", "甲", "乙", "混雑", "1月", "2月", "深一", "文字"]
    assert all("次へ" not in record["text"] and SENTENCE in record["text"] for record in found)
    origin = found[1]["source"]
    assert {key: origin[key] for key in ("name", "site", "url", "terms", "trust", "warc")} == {
        "name": "web",
        "site": "図書館",
        "url": crawled.site.origin + "/a",
        "terms": "CC BY 4.0",
        "trust": "high",
        "warc": "00000.warc.gz",
    }
    assert origin["robots"]["said"] == "robots.txt answered 200" and origin["robots"]["line"] is None
    assert origin["robots"]["digest"].startswith("sha256:")
    read(crawled.folder, tmp_path / "again")
    assert (tmp_path / "raw" / "raw.jsonl").read_bytes() == (tmp_path / "again" / "raw.jsonl").read_bytes()
    assert json.loads((tmp_path / "raw" / "stats.json").read_text("utf-8"))["web"]["blank"] == 0
