"""Sites are asked again over real HTTP: what they say today, and what their access logs tell of how we asked."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator

import pytest

from so8t.web.asking import Asker, Finding, Pace
from so8t.web.client import client
from tests.web.site import HTML, Page, site

USER_AGENT = "examplebot/1.0 (+mailto:bot@example.jp)"
FREE = "User-agent: *\nDisallow: /private/\n"
TDMREP, AI_TXT = "/.well-known/tdmrep.json", "/ai.txt"


Ask = Callable[..., dict[str, tuple[str, ...]]]


@pytest.fixture(scope="module")
def ask() -> Iterator[Ask]:
    """(outcome, what was said ...) of each URL, by a new asker with the same client."""
    with client(USER_AGENT) as get:
        yield lambda *urls, pause=0.0: {
            one.url: (one.outcome, *one.said) for one in Asker(get, "examplebot", pace=Pace(pause)).every(urls)
        }


def page(head: str = "", **headers: str) -> Page:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Page(body=f"<!doctype html><head>{head}</head><p>本文", headers=HTML | named)


PAGES = [
    (page(), ("as before",)),
    (page('<meta name="robots" content="noai">'), ("no", "meta robots: noai")),
    (page(Content_Usage="train-ai=n"), ("no", "header content-usage: train-ai=n")),
    (page(X_Robots_Tag="examplebot: noai, nofollow"), ("no", "header x-robots-tag: examplebot: noai, nofollow")),
    (page(TDM_Reservation="1", Content_Usage="train-ai=y"), ("no", "header tdm-reservation: 1")),
    (page('<meta name="tdm-reservation" content="0">'), ("as before",)),
    (Page(402), ("no", "answered 402")),
    (Page(403), ("no", "answered 403")),
    (Page(451, headers={"Link": '<https://example.jp/>; rel="blocked-by"'}), ("no", "answered 451")),
    (Page(404), ("gone", "answered 404")),
    (Page(410), ("gone", "answered 410")),
    (Page(401), ("not asked", "answered 401")),
    (Page(429, headers={"Retry-After": "60"}), ("not asked", "answered 429")),
    (Page(503), ("not asked", "answered 503")),
    (Page(302, headers={"Location": "/p"}), ("not asked", "redirects without end")),
    (Page(302, headers={"Location": "/private/x"}), ("no", "robots.txt:2: disallow: /private/")),
    (Page(302, headers={"Location": "ftp://example.jp/x"}), ("not asked", "leads to ftp:, which is not the web")),
    (Page(body=gzip.compress(b"<meta name=robots content=noai>" + bytes(9_000_000)),
          headers=HTML | {"Content-Encoding": "gzip"}), ("no", "meta robots: noai")),
    (Page(body="<meta name=robots content=noai>".encode("utf-16"), headers=HTML), ("no", "meta robots: noai")),
    (Page(body='<meta name="robots" content="noai">', headers={"Content-Type": "text/plain"}), ("as before",)),
    (Page(body=b"\xff\xfe\x00not gzip", headers=HTML | {"Content-Encoding": "gzip"}),
     ("not asked", "DecodingError: Error -3 while decompressing data: incorrect header check")),
]  # fmt: skip


def test_what_a_page_says_of_itself(ask: Ask) -> None:
    with site({"/robots.txt": FREE}) as there:
        for one, expected in PAGES:
            there.pages["/p"] = one
            assert ask(there.origin + "/p") == {there.origin + "/p": expected}


BESIDE = [
    ({"/robots.txt": "User-agent: examplebot\nDisallow: /"}, ("no", "robots.txt:2: disallow: /")),
    ({"/robots.txt": Page(404)}, ("as before",)),
    ({"/robots.txt": Page(503)}, ("not asked", "robots.txt answered 503")),
    ({"/robots.txt": page()}, ("not asked", "what came as robots.txt is not one")),
    ({"/robots.txt": Page(301, headers={"Location": "/r"}), "/r": "User-agent: *\nDisallow: /p"},
     ("no", "robots.txt:2: disallow: /p")),
    ({"/robots.txt": Page(301, headers={"Location": "/robots.txt"})}, ("not asked", "robots.txt answered 301")),
    ({"/robots.txt": FREE + "Crawl-delay: 86400"},
     ("not asked", "robots.txt asks for 86,400 seconds between two requests")),
    ({"/robots.txt": FREE + "Content-Signal: ai-train=no"}, ("no", "robots.txt:3: content-signal: ai-train=no")),
    ({"/robots.txt": FREE, TDMREP: '[{"location": "/", "tdm-reservation": 1}]'},
     ("no", '/.well-known/tdmrep.json: {"location": "/", "tdm-reservation": 1}')),
    ({"/robots.txt": FREE, AI_TXT: "User-agent: *\nDisallow: *.html"}, ("no", "/ai.txt:2: disallow: *.html")),
    ({"/robots.txt": FREE, AI_TXT: Page(body="User-agent: *\nDisallow: /", headers=HTML)}, ("as before",)),
    ({"/robots.txt": FREE + f"Disallow: {AI_TXT}\nDisallow: /.well-known/", AI_TXT: "User-agent: *\nDisallow: /"},
     ("as before",)),
]  # fmt: skip


@pytest.mark.parametrize(("beside", "expected"), BESIDE)
def test_what_a_site_says_of_all_its_pages(ask: Ask, beside: dict[str, Page | str], expected: tuple[str, ...]) -> None:
    with site({"/p": page(), **beside}) as there:
        assert ask(there.origin + "/p") == {there.origin + "/p": expected}
        assert ("/p" in there.asked) == (expected == ("as before",))
        assert there.agents == {USER_AGENT}


def test_not_one_forbidden_request_and_each_file_of_a_site_once(ask: Ask) -> None:
    pages = {f"/{number}": page(Set_Cookie="a=b") for number in range(5)}
    with site({"/robots.txt": FREE + "Disallow: /3\nDisallow: /ai.txt", **pages}) as there:
        found = ask(*(f"{there.origin}/{number}" for number in range(5)), f"{there.origin}/private/x")

        assert [outcome for outcome, *_ in found.values()] == ["as before"] * 3 + ["no", "as before", "no"]
        assert there.asked == ["/robots.txt", TDMREP, "/0", "/1", "/2", "/4"]
        assert there.cookies == []


def test_the_pause_of_robots_txt_lies_between_all_requests_and_hosts_take_turns(ask: Ask) -> None:
    slow, quick = {"/robots.txt": "User-agent: *\nCrawl-delay: 0.3\nDisallow:"}, {"/robots.txt": Page(404)}
    with site(slow | {"/a": page(), "/b": page()}) as one, site(quick | {"/c": page(), "/d": page()}) as other:
        found = ask(one.origin + "/a", one.origin + "/b", other.origin + "/c", other.origin + "/d", pause=0.02)

    assert {outcome for outcome, *_ in found.values()} == {"as before"}
    assert one.asked == ["/robots.txt", TDMREP, AI_TXT, "/a", "/b"]
    pauses = [after - before for (before, _), (after, _) in zip(one.log, one.log[1:], strict=False)]
    assert min(pauses) >= 0.3
    assert other.log[-1][0] < one.log[-1][0]  # the quick one did not wait for the slow one's last page


def test_a_site_that_is_not_there_is_not_asked(ask: Ask) -> None:
    with site({}) as there:
        pass

    (found,) = ask(there.origin + "/p").values()
    assert found[0] == "not asked"
    assert found[1].startswith("ConnectError: ")


def test_a_pause_that_is_read_late_holds_from_then_on() -> None:
    now, slept = [100.0], list[float]()
    pace = Pace(1.0, lambda: now[0], slept.append)
    pace.asked("a")
    pace.slower("a", 5.0)
    pace.wait("a")
    pace.wait("b")

    assert slept == [5.0]
    assert Finding("u", "gone").said == ()
