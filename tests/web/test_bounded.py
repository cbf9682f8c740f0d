"""A crawl's memory is bounded, whatever sites answer: long pages, bombs, pages of links, headers without end."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.web.authority import Authority
from tests.web.crawling import ROOT, command, outcomes, rows
from tests.web.site import HTML, Page, site
from tests.web.test_collector import A, Web, crawl, kept, page, scope

SENTENCE = "図書館の本を、きれいに並べる。"


def test_of_a_page_of_links_no_more_is_remembered_than_its_host_may_lead_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("so8t.web.scope.FEWEST", 40)
    web = Web({f"{A}/": page(*(f"/{n}.pdf" for n in range(300)), *(f"/{n}" for n in range(300)), "/next")})

    found = crawl(web, tmp_path, scope(f"{A}/", per_host=1))

    refused = [row["said"][0] for row in found.rows if row["outcome"] == "out of scope"]
    assert (
        refused.count("the name of a file that is not a page") == 40
    )  # twenty, and forty at least, for each page that it may have
    assert refused.count("more than 1 pages of one host") == 39
    assert found.forgotten == 301 + 300 - 40 - 39
    assert (kept(found), web.asked) == ([f"{A}/"], [f"{A}/"])


def test_an_index_of_sitemaps_is_asked_for_no_more_of_them_than_pages(tmp_path: Path) -> None:
    index = "<sitemapindex>" + "".join(f"<sitemap><loc>/{n}.xml</loc></sitemap>" for n in range(9)) + "</sitemapindex>"
    web = Web({f"{A}/index.xml": page()})
    web.pages[f"{A}/index.xml"] = type(page())(200, (("Content-Type", "text/xml"),), index.encode())

    crawl(web, tmp_path, scope(sitemaps=(f"{A}/index.xml",), per_host=3))

    assert web.asked == [f"{A}/index.xml", f"{A}/0.xml", f"{A}/1.xml", f"{A}/2.xml"]


def peak(folder: Path, spec: dict[str, object]) -> float:
    """MiB of the crawl's process at most: its own figure, for what its parent held counts in getrusage."""
    (folder / "crawl").mkdir(parents=True)
    telling = "import runpy, sys; sys.argv = sys.argv[1:]; runpy.run_module('tests.web.crawling', run_name='__main__');"
    telling += "print(open('/proc/self/status').read())"
    words = command(folder / "scratch", folder / "crawl", spec)[2:]
    run = subprocess.run(
        [sys.executable, "-c", telling, *words], cwd=ROOT, capture_output=True, encoding="utf-8", timeout=900
    )
    assert run.returncode == 0, run.stderr
    return int(re.findall(r"VmHWM:\s+(\d+) kB", run.stdout)[0]) / 1024


def hostile(number: int) -> dict[str, Page | str]:
    """Six hundred pages of one site, some of which are more than anybody can hold."""
    found: dict[str, Page | str] = {"/robots.txt": Page(404)}
    long = {
        **{at: f"<p>{number}.{at} {SENTENCE * 100_000}" for at in (11, 211, 411)},  # 4.5 MB
        22: "".join(f'<a href="/{n}.pdf">x</a>' for n in range(30_000)),
        33: "".join(f'<a href="http://{n}.example/">x</a>' for n in range(30_000)),
    }
    for at in range(600):
        text = f'<html><p>{number}.{at}<a href="/{at + 1}">x</a><a href="/{at * 2 + 1}">x</a>{long.get(at, "")}</html>'
        found[f"/{at}"] = Page(body=text, headers=HTML)
    found["/401"] = Page(body=gzip.compress(bytes(300 << 20), 1), headers=HTML | {"Content-Encoding": "gzip"})
    found["/403"] = Page(body=bytes(40 << 20), headers=HTML)
    return found


def bomb() -> Page:
    """A sitemap of 45 MB in some kilobytes, which is as long as one may be."""
    maps = b"<urlset>" + b"<url><loc>/x.pdf</loc></url>" * 1_600_000 + b"</urlset>"
    return Page(body=gzip.compress(maps, 1), headers={"Content-Type": "application/gzip"})


@pytest.mark.soak
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak that Linux keeps of a process")
def test_a_crawl_of_thousands_of_pages_of_hostile_sites_stays_within_its_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(ours.path))
    with ExitStack() as stack:
        tls = ours.server("127.0.0.1")
        sites = [stack.enter_context(site(hostile(number), tls)) for number in range(4)]
        endless = stack.enter_context(site({"/": Page(endless=True)}, tls))
        sites[0].pages["/map.xml"] = bomb()
        quiet = stack.enter_context(site({"/robots.txt": Page(404), "/": Page(body="<p>x", headers=HTML)}))
        common = {"terms": "CC0", "trust": "high", "depth": 100}
        seeds = [f"{each.origin}/0" for each in sites] + [endless.origin + "/"]
        given = {"agent": "bot", "contact": "a@example.jp", "pause": 0}
        source = {**common, "name": "a", "seeds": seeds, "sitemaps": [f"{sites[0].origin}/map.xml"]}
        small = peak(tmp_path / "one", {**given, "sources": [{**common, "name": "a", "seeds": [quiet.origin + "/"]}]})
        large = peak(tmp_path / "all", {**given, "sources": [source]})

    folder = tmp_path / "all" / "crawl"
    pages, said = rows(folder / "pages.jsonl"), outcomes(folder)
    print(f"{small:.0f} MiB for one page, {large:.0f} for {len(pages):,}; {(folder / 'stats.json').read_text()}")
    assert len(pages) == 4 * 596  # 402 and 404 are linked to by 401 and 403 alone
    assert (said["/401"][0], said["/403"][0]) == ("not asked", "not asked")
    assert said["/"] == ["not asked", "its headers do not end"]
    assert json.loads((folder / "stats.json").read_bytes())["outcomes"]["not remembered"] > 0
    assert large - small < 256  # expected: four pages of 5 MiB in nine forms, and 40,000 URLs a host
