"""Sites over HTTPS, with certificates of an authority that the tests make: who is believed, and what is said."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path

import certifi
import pytest
from scrapy.core.downloader.handlers._httpx import HttpxDownloadHandler

from so8t.errors import DataError
from so8t.web import certificates
from so8t.web.asking import Asker, Pace
from so8t.web.client import client
from tests.web.authority import Authority
from tests.web.crawling import crawl, rows
from tests.web.site import HTML, Page, site

PAGES: dict[str, Page | str] = {
    "/robots.txt": "User-agent: *\nDisallow: /secret",
    "/": Page(body='<p>本文<a href="/a">x</a><a href="/secret">x</a>', headers=HTML),
    "/a": Page(body="<p>甲", headers=HTML),
}
REFUSED = "its certificate is not believed: "
NOBODY = "its certificate is not believed: it has ended, or nobody signed it whom SSL_CERT_FILE or the system names"


SAID = {  # of an ended certificate, one of another address, one of a stranger; by the libraries' own words
    False: (NOBODY, f"{REFUSED}it is for another host", NOBODY),
    True: (
        f"{REFUSED}certificate has expired",
        f"{REFUSED}IP address mismatch, certificate is not valid for '127.0.0.1'.",
        f"{REFUSED}certificate signature failure",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("http2", [False, True])
def test_a_crawl_believes_only_the_certificates_of_authorities_that_it_was_told_of(
    http2: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ours", "theirs"):
        (tmp_path / name).mkdir()
    ours, theirs = Authority(tmp_path / "ours"), Authority(tmp_path / "theirs")
    tls = [ours.server("127.0.0.1"), ours.server("127.0.0.1", days=-1), ours.server("127.0.0.2")]
    with ExitStack() as stack:
        good, ended, other, stranger = (
            stack.enter_context(site(PAGES, each)) for each in (*tls, theirs.server("127.0.0.1"))
        )
        to_good = {path: Page(301, headers={"Location": good.origin + path}) for path in ("/", "/robots.txt")}
        plain = stack.enter_context(site(to_good))
        sites = (plain, good, ended, other, stranger)
        hosts = [each.origin.partition("//")[2] for each in sites]
        seeds = [f"{each.origin}/" for each in sites if each is not good]
        source = {"name": "a", "terms": "CC0", "trust": "high", "seeds": seeds, "hosts": hosts}
        monkeypatch.setenv("SSL_CERT_FILE", str(ours.path))
        crawl(tmp_path, {"agent": "bot", "contact": "a@example.jp", "pause": 0, "http2": http2, "sources": [source]})

    pages = rows(tmp_path / "crawl" / "pages.jsonl")
    decided = {row["url"]: (row["outcome"], *row["said"]) for row in rows(tmp_path / "crawl" / "decisions.jsonl")}
    assert [page["url"] for page in pages] == [good.origin + "/", good.origin + "/a"]
    assert decided == {
        f"{plain.origin}/": ("moved", f"to {good.origin}/"),
        f"{good.origin}/secret": ("no", "robots.txt:2: disallow: /secret"),
        **{f"{each.origin}/": ("not asked", said) for each, said in zip(sites[2:], SAID[http2], strict=True)},
    }
    assert ended.log == other.log == stranger.log == []
    assert sorted(good.asked) == ["/", "/.well-known/tdmrep.json", "/a", "/ai.txt", "/robots.txt", "/robots.txt"]


def test_recheck_believes_the_same_and_says_why_it_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(ours.path))
    with client("bot/1.0") as get, ExitStack() as stack:
        asker = Asker(get, "bot", pace=Pace(0.0))
        said = []
        for tls in (ours.server("127.0.0.1"), ours.server("127.0.0.1", days=-1), ours.server("127.0.0.2")):
            found = asker.ask(stack.enter_context(site(PAGES, tls)).origin + "/a")
            said.append((found.outcome, *found.said))

    assert said == [
        ("as before",),
        ("not asked", "its certificate is not believed: certificate has expired"),
        (
            "not asked",
            "its certificate is not believed: IP address mismatch, certificate is not valid for '127.0.0.1'.",
        ),
    ]


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_authorities_that_are_not_there_are_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "company.pem")

    with pytest.raises(DataError) as error:
        certificates.prepare()
    assert str(error.value) == (f"{name} names company.pem, which is not there: correct it, or take the variable away")


@pytest.mark.parametrize(
    ("system", "expected"), [("win32", certifi.where()), ("darwin", certifi.where()), ("linux", None)]
)
def test_where_openssl_finds_no_authorities_of_the_system_it_is_given_mozillas(
    system: str, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", system)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", "")

    certificates.prepare()

    assert os.environ.get("SSL_CERT_FILE") == expected


def test_scrapy_calls_its_handler_of_http2_experimental() -> None:
    """Why it is off unless a spec says so; where this fails, docs/collect.md has news."""
    assert HttpxDownloadHandler.experimental
