"""URLs in one spelling, and what a source does not take."""

from __future__ import annotations

import pytest

from so8t.web.scope import Scope, hosts_of, identity, plain


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ("HTTPS://Example.JP/A?b=1#top", "https://example.jp/A?b=1"),
        ("https://example.jp", "https://example.jp/"),
        ("https://example.jp/a;jsessionid=9F?x=1", "https://example.jp/a?x=1"),
        ("https://example.jp/a?PHPSESSID=1&x=2&utm_source=m", "https://example.jp/a?x=2"),
        ("https://example.jp:443/a", "https://example.jp/a"),
        ("http://example.jp.:80/a", "http://example.jp/a"),
        ("http://example.jp:8080/a", "http://example.jp:8080/a"),
        ("http://[::1]:80/a", "http://[::1]:80/a"),
        ("https://日本語.jp/記事", "https://xn--wgv71a119e.jp/記事"),
        ("https://" + "日" * 99 + ".jp/", None),
        ("mailto:a@example.jp", None),
        ("https://user:secret@example.jp/", None),
        ("https://example.jp:port/", None),
        ("http://[::1", None),
    ],
)
def test_a_url_is_asked_for_without_fragment_and_session(given: str, asked: str | None) -> None:
    assert plain(given) == asked


def test_a_host_is_in_scope_in_each_of_its_spellings() -> None:
    found = hosts_of(["https://日本語.jp/", "https://Example.jp:443/", "http://127.0.0.1:8080/"])

    assert found == {"xn--wgv71a119e.jp", "example.jp", "127.0.0.1:8080"}
    assert Scope("a", "CC0", "high", hosts=found).refuses(plain("https://xn--WGV71A119E.jp/a") or "") == ""


@pytest.mark.parametrize(
    ("one", "other"),
    [("?a=1&b=2", "?b=2&a=1"), ("%7Ea", "~a"), ("%e3%81%82", "%E3%81%82"), ("あ", "%E3%81%82")],
)
def test_two_spellings_of_a_page_are_one(one: str, other: str) -> None:
    assert identity(f"https://example.jp/{one}") == identity(f"https://example.jp/{other}")


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/a/b/a/b", ""),
        ("/a/b/a/b/a", "a path that repeats itself"),
        ("/robots.txt", "the name of a file that is not a page"),
        ("/a.PDF", "the name of a file that is not a page"),
        ("/" + "a" * 2000, "longer than 2,000 characters"),
    ],
)
def test_what_nobody_takes_for_a_page_is_not_asked_for(path: str, why: str) -> None:
    assert Scope("a", "CC0", "high", hosts=frozenset({"example.jp"})).refuses(f"https://example.jp{path}") == why
