"""Hundreds of pages on several hosts, over HTTP and HTTPS, with every trap in them: their access logs are the judge."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from tests.web.authority import Authority
from tests.web.crawling import crawl, rows
from tests.web.site import Site, site
from tests.web.test_crawl import SENTENCE, article, read
from tests.web.test_robots import plain_forbids
from tests.web.traps import AGENT, CLOSED, LATE, NUMBERED, OPEN, PAUSE, ROBOTS, TRAPS, at, library

pytestmark = pytest.mark.soak


class Crawled:
    """One crawl of all sites: a stranger that nobody may ask, the library, one that leads there, open and closed."""

    def __init__(self, folder: Path, authority: Authority | None, http2: bool) -> None:
        self.folder = folder
        address = iter(range(2, 100))
        with ExitStack() as stack:

            def serve(pages: dict[str, Any], plain: bool = False) -> Site:
                host = f"127.0.0.{next(address)}"
                tls = authority.server(host) if authority and not plain else None
                return stack.enter_context(site(pages, tls, host))

            self.stranger = serve({"/": article("他人")})
            self.library = serve(library(self.stranger.origin))
            to = self.library.origin
            self.plain = serve({path: at(to + path, 301) for path in ("/", "/robots.txt")}, plain=True)
            self.closed = {name: serve({"/": article("閉"), **pages}) for name, (pages, _) in CLOSED.items()}
            self.open = {name: serve({"/": article(f"開{name}"), "/robots.txt": page}) for name, page in OPEN.items()}
            with ExitStack() as gone:
                nobody = gone.enter_context(site({}, None, "127.0.0.1")).origin
            hosts = [each.origin.partition("//")[2] for each in (self.library, self.plain)]
            common = {"terms": "CC BY 4.0", "trust": "high", "depth": 11, "variants": 3}
            seeds = [self.plain.origin + "/", to + "/n/0"]
            others = [each.origin + "/" for each in (*self.closed.values(), *self.open.values())] + [nobody + "/"]
            sources = [{**common, "name": "図書館", "seeds": seeds, "hosts": hosts}]
            sources += [{**common, "name": "ほか", "seeds": others}]
            given = {
                "agent": AGENT,
                "contact": "mailto:crawler@example.jp",
                "pause": 0.02,
                "timeout": LATE,
                "http2": http2,
            }
            crawl(folder, {**given, "max_page": 1 << 20, "sources": sources})


@pytest.fixture(scope="module", params=["http", "https", "http2"])
def crawled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp(request.param)
    ours = Authority(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(ours.path))
        yield Crawled(folder, ours if request.param != "http" else None, request.param == "http2")


def test_not_one_request_is_forbidden_and_none_comes_twice_but_where_a_site_says_so(crawled: Crawled) -> None:
    asked = crawled.library.asked
    assert [path for path in asked if plain_forbids(ROBOTS.encode(), path, AGENT)] == []
    assert [path for path, times in Counter(asked).items() if times > 1] == ["/robots.txt", "/busy", "/busy-again"]
    assert asked.count("/robots.txt") == 2  # by its own name, and where that of the plain site leads
    assert crawled.stranger.log == []
    assert {name: each.asked for name, each in crawled.closed.items()} == {
        name: asked for name, (_, asked) in CLOSED.items()
    }
    first = ["/robots.txt", "/.well-known/tdmrep.json", "/ai.txt", "/"]
    assert {name: each.asked for name, each in crawled.open.items()} == dict.fromkeys(OPEN, first)
    assert crawled.library.cookies == []
    assert crawled.library.agents == {f"{AGENT}/1.0 (+mailto:crawler@example.jp)"}


def test_the_pause_is_that_of_the_agents_own_group_and_never_cut_short(crawled: Crawled) -> None:
    gaps = crawled.library.gaps
    known = crawled.library.asked.index("/.well-known/tdmrep.json") - 1
    print(f"{len(gaps):,} gaps of {median(gaps) / PAUSE:.2f} pauses in the median, with the answers in them")
    assert min(gaps[known:]) >= PAUSE
    assert min(min(each.gaps) for each in crawled.open.values()) >= 0.02


def test_every_trap_has_its_decision(crawled: Crawled) -> None:
    host = crawled.library.origin.partition("//")[2]
    decided = {
        "/" + row["url"].split("/", 3)[3]: (row["outcome"], *row["said"])
        for row in rows(crawled.folder / "crawl" / "decisions.jsonl")
        if host in row["url"]
    }
    wrong = {path: decided.get(path) for path, (_, due) in TRAPS.items() if not _is(decided.get(path), due)}
    assert wrong == {}
    assert decided["/out"] == ("moved", f"to {crawled.stranger.origin}/, which is out of scope: another host")


def _is(found: tuple[str, ...] | None, due: tuple[str, str] | None) -> bool:
    if found is None or due is None:
        return found is due
    return found[0] == due[0] and found[1].startswith(due[1])


def test_all_that_is_allowed_and_ends_is_kept_and_nothing_else(crawled: Crawled) -> None:
    due = ["/", *(f"/n/{number}" for number in range(NUMBERED)), *(path for path, (_, no) in TRAPS.items() if not no)]
    pages = rows(crawled.folder / "crawl" / "pages.jsonl")
    host = crawled.library.origin.partition("//")[2]
    assert sorted("/" + row["url"].split("/", 3)[3] for row in pages if host in row["url"]) == sorted(due)
    assert len(pages) == len(due) + len(OPEN)


def test_every_charset_is_read_whatever_was_declared(crawled: Crawled, tmp_path: Path) -> None:
    found = {record["tags"]["title"]: record["text"] for record in read(crawled.folder, tmp_path / "raw")}
    titles = [f"文字{charset}" for charset in ("cp932", "euc_jp", "iso2022_jp", "utf-16", "utf-8")]
    assert [title for title in titles if SENTENCE not in found.get(title, "")] == []
