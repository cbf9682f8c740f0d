"""Signals: every vocabulary that sites use, well written, mixed and malformed; one no is a no."""

from __future__ import annotations

import json
import time

import pytest

from so8t.web.robots import parse
from so8t.web.signals import Signal, most_restrictive, of_ai_txt, of_headers, of_page, of_robots, of_tdmrep

INDEX_TOO = frozenset({"noai", "noimageai", "noindex"})

HEADERS = [
    # AIPREF: a Dictionary of RFC 9651, case sensitive, the last value of a key
    ("Content-Usage", "train-ai=n", "no"),
    ("Content-Usage", "train-ai=y", "yes"),
    ("content-usage", "search=y, train-ai=n", "no"),
    ("Content-Usage", "search=n", "unknown"),
    ("Content-Usage", "train-ai", "unknown"),
    ("Content-Usage", "train-ai;allow=n, train-ai=y", "yes"),
    ("Content-Usage", 'train-ai=y;because="a, b", search=n', "yes"),
    ("Content-Usage", "foo=(a b), train-ai=y", "yes"),
    ("Content-Usage", "train-ai=y, train-ai", "unknown"),
    ("Content-Usage", "train-ai=n, train-ai=y", "no"),  # by the draft a yes; here a mistake opens nothing
    ("Content-Usage", "Train-AI=y", "unknown"),
    ("Content-Usage", "TRAIN-AI = N", "no"),
    ("Content-Usage", 'train-ai="n"', "no"),
    ("Content-Usage", "train-ai=?0", "no"),
    ("Content-Usage", "train-ai=y,", "unknown"),
    ("Content-Usage", "train-ai=y; search=n ((", "unknown"),
    ("Content-Usage", "search=n train-ai=n", "no"),
    ("Content-Usage", "train-genai=n", "no"),
    ("Content-Usage", "", "unknown"),
    # Content-Signal
    ("Content-Signal", "search=yes, ai-train=no", "no"),
    ("Content-Signal", "ai-train=yes, search=yes, ai-input=yes", "yes"),
    ("Content-Signal", "Search=Yes,AI-Train=Yes", "yes"),
    ("Content-Signal", "search=yes,ai-input=no", "unknown"),
    ("Content-Signal", "ai-train: yes", "unknown"),
    ("Content-Signal", "search=yes ai-train=NO", "no"),
    ("Content-Signal", "ai-train=maybe", "unknown"),
    # TDMRep
    ("tdm-reservation", "1", "no"),
    ("TDM-Reservation", " 0 ", "yes"),
    ("tdm-reservation", "0, 1", "no"),
    ("tdm-reservation", "0, 0", "unknown"),
    ("tdm-reservation", "2", "no"),
    ("tdm-reservation", "true", "no"),
    ("tdm-reservation", "-1", "unknown"),
    ("tdm-reservation", "", "unknown"),
    ("tdm-policy", "https://a.jp/policy.json", "unknown"),
    # X-Robots-Tag
    ("X-Robots-Tag", "noai", "no"),
    ("X-Robots-Tag", "nofollow, NoAI", "no"),
    ("X-Robots-Tag", "noimageai", "no"),
    ("X-Robots-Tag", "noindex", "unknown"),
    ("X-Robots-Tag", "all", "unknown"),
    ("X-Robots-Tag", "examplebot: noai", "no"),
    ("X-Robots-Tag", "ExampleBot : noai", "no"),
    ("X-Robots-Tag", "otherbot: noai", "unknown"),
    ("X-Robots-Tag", "otherbot: nofollow, noai", "unknown"),
    ("X-Robots-Tag", "otherbot: nofollow, examplebot: noai", "no"),
    ("X-Robots-Tag", "max-snippet:20, noai", "no"),
    ("X-Robots-Tag", "unavailable_after: Saturday, 25-Jun-26 15:00:00 GMT, noai", "no"),
    ("X-Robots-Tag", "nofollow noai", "no"),
    ("X-Robots-Tag", '"noai"', "no"),
    ("X-Robots-Tag", "noaix, no-ai, : :, ,", "unknown"),
]


@pytest.mark.parametrize(("name", "value", "verdict"), HEADERS, ids=[f"{name}: {value}" for name, value, _ in HEADERS])
def test_headers(name: str, value: str, verdict: str) -> None:
    (signal,) = of_headers([("Server", "noai"), (name, value)], "examplebot")

    assert (signal.where, signal.text, signal.verdict) == (f"header {name.lower()}", value, verdict)


def test_a_spec_says_which_directives_are_a_no() -> None:
    for value in ("noindex", "none", "examplebot: noindex"):
        assert most_restrictive(of_headers([("X-Robots-Tag", value)], "examplebot", INDEX_TOO)) == "no"
        assert most_restrictive(of_headers([("X-Robots-Tag", value)], "examplebot")) == "unknown"


PAGES = [
    ('<meta name="robots" content="noindex, noai">', "no"),
    ("<META NAME=ROBOTS CONTENT=NOAI>", "no"),
    ("<meta content='noai' name='robots'/>", "no"),
    ('<p>no end<meta name="robots" content="no&#97;i"', "unknown"),
    ('<body><meta name=" Robots " content="no&#97;i"></body>', "no"),
    ('<meta name="examplebot" content="noai">', "no"),
    ('<meta name="otherbot" content="noai">', "unknown"),
    ('<meta name="robots" content="index, follow">', "unknown"),
    ('<!-- <meta name="robots" content="noai"> -->', "unknown"),
    ('<script>\'<meta name="robots" content="noai">\'</script>', "unknown"),
    ('<meta http-equiv="X-Robots-Tag" content="noai">', "no"),
    ('<meta name="tdm-reservation" content="1"><meta name="tdm-policy" content="/p.json">', "no"),
    ('<meta name="tdm-reservation" content="0">', "yes"),
    ('<meta name="tdm-reservation" content="0"><meta name="robots" content="noai">', "no"),
    ('<meta name="tdm-reservation">', "unknown"),
    ("\x00<html\x00><meta name=robots content=noai>", "no"),
    ("<div>" * 3000 + '<meta name="robots" content="noai">', "no"),
    ("", "unknown"),
    (" \n", "unknown"),
    ("<!-- nothing -->", "unknown"),
    ("text only, noai", "unknown"),
    ("\ud800<meta name=robots content=noai>", "no"),
]


@pytest.mark.parametrize(("html", "verdict"), PAGES, ids=[html.encode("ascii", "replace")[:60] for html, _ in PAGES])
def test_pages(html: str, verdict: str) -> None:
    assert most_restrictive(of_page(html, "ExampleBot")) == verdict


def test_a_page_says_what_it_said() -> None:
    assert of_page('<title>表</title><meta name="Robots" content="noai, 日本">', "examplebot") == [
        Signal("meta robots", "meta robots", "noai, 日本", "no")
    ]


# draft-ietf-aipref-attach of 2026-08-19, section 3.4, and what sites write
DRAFT = """User-Agent: *
Allow: /
Disallow: /never/
Content-Usage: train-ai=n
Content-Usage: /ai-ok/ train-ai=y

User-Agent: ExampleBot
Allow: /
Content-Usage: train-ai=y
"""
ROBOTS = [
    (DRAFT, "other", "/test", "no"),
    (DRAFT, "other", "/ai-ok/test", "yes"),
    (DRAFT, "examplebot", "/test", "yes"),
    ("User-Agent: *\nContent-Signal: search=yes, ai-train=no\nAllow: /", "a", "/", "no"),
    ("User-Agent: *\ncontent-signal:ai-train=yes # all", "a", "/", "yes"),
    ("Content-Signal: ai-train=no\nUser-agent: *\nAllow: /", "a", "/", "no"),
    ("User-agent: b\nContent-Usage: train-ai=n\nDisallow:\nUser-agent: *\nAllow: /", "a", "/", "unknown"),
    ("User-agent: *\nContent-Usage: /x train-ai=n\nContent-Usage: /x train-ai=y", "a", "/x/y", "no"),
    ("User-agent: *\nContent-Usage: train-ai=n\nContent-Usage: /x search=n", "a", "/x", "no"),
    ("User-agent: *\nContent-Usage: /%E3%81%82/*.html$ train-ai=n", "a", "/あ/b.html", "no"),
    ("User-agent: *\nContent-Usage: /x/", "a", "/x/", "unknown"),
    ("User-agent: *\nContent-Usage: train-ai=y\nContent-Signal: ai-train=no", "a", "/", "no"),
    ("User-agent: *\nContent-Usage: \xff\x00train-ai=y", "a", "/", "unknown"),
]


@pytest.mark.parametrize(("lines", "agent", "target", "verdict"), ROBOTS)
def test_lines_of_robots_txt(lines: str, agent: str, target: str, verdict: str) -> None:
    assert most_restrictive(of_robots(parse(lines.encode("utf-8")), agent, target)) == verdict


def test_a_line_of_robots_txt_is_named() -> None:
    assert of_robots(parse(DRAFT.encode()), "other", "/ai-ok/") == [
        Signal("AIPREF", "robots.txt:5", "content-usage: /ai-ok/ train-ai=y", "yes")
    ]


W3C = json.dumps(
    [
        {"location": "/directory-a/", "tdm-reservation": 1},
        {"location": "/directory-b/html/", "tdm-reservation": 1, "tdm-policy": "https://provider.com/p.json"},
        {"location": "/directory-b/images/*.jpg", "tdm-reservation": 0},
    ]
)
TDMREP = [
    (W3C, "/directory-a/x.pdf", "no"),
    (W3C, "/directory-b/html/x", "no"),
    (W3C, "/directory-b/images/x.jpg", "yes"),
    (W3C, "/elsewhere", "unknown"),
    ('[{"location": "/", "tdm-reservation": 1}]', "/x", "no"),
    ('{"location": "/", "tdm-reservation": 1}', "/x", "no"),  # without the brackets
    ('[{"location": "a/", "tdm-reservation": "1"}]', "/a/x", "no"),
    ('[{"location": "/", "tdm-reservation": true}]', "/x", "no"),
    ('[{"location": "/", "tdm-reservation": 0}, {"location": "/x/", "tdm-reservation": 1}]', "/x/y", "no"),
    ('[{"location": "/x/", "tdm-reservation": 1}, {"location": "/x/y", "tdm-reservation": 0}]', "/x/y", "no"),
    ('[{"location": "/x$", "tdm-reservation": 1}]', "/x/y", "unknown"),
    ('[{"location": "/"}]', "/x", "unknown"),
    ('[{"location": 1, "tdm-reservation": 1}, 2, null, []]', "/x", "unknown"),
    ('[{"location": "/", "tdm-reservation": 1}', "/x", "unknown"),
    ("<html>not found</html>", "/x", "unknown"),
    ("", "/x", "unknown"),
    ("[" * 100_000, "/x", "unknown"),
    ("null", "/x", "unknown"),
]


@pytest.mark.parametrize(("body", "target", "verdict"), TDMREP, ids=[row[0][:60] for row in TDMREP])
def test_tdmrep(body: str, target: str, verdict: str) -> None:
    assert most_restrictive(of_tdmrep(body.encode(), target)) == verdict


AI_TXT = [
    ("User-Agent: *\nDisallow: *.txt\nDisallow: *.html\nAllow: *.jpg", "/a.txt", False, "no"),
    ("User-Agent: *\nDisallow: *.txt\nDisallow: *.html\nAllow: *.jpg", "/article/12", True, "no"),
    ("User-Agent: *\nDisallow: *.txt\nDisallow: *.html\nAllow: *.jpg", "/", True, "no"),
    ("User-Agent: *\nDisallow: *.txt\nDisallow: *.html\nAllow: *.jpg", "/a.jpg", False, "yes"),
    ("User-Agent: *\nAllow: *.html\nDisallow: *.png", "/a?b", True, "yes"),
    ("User-Agent: *\nDisallow: /\nDisallow: *", "/a", True, "no"),
    ("User-Agent: other\nDisallow: /", "/a", True, "unknown"),
    ("# ai.txt\nThis app answers questions.", "/a", True, "unknown"),
    ("<html>not found</html>", "/a", True, "unknown"),
    ("", "/a", True, "unknown"),
]


@pytest.mark.parametrize(("body", "target", "html", "verdict"), AI_TXT)
def test_ai_txt(body: str, target: str, html: bool, verdict: str) -> None:
    assert most_restrictive(of_ai_txt(body.encode(), "examplebot", target, html)) == verdict


def test_a_tdmrep_that_nobody_would_write_is_a_no_and_is_not_read() -> None:
    (signal,) = of_tdmrep(b"[" + b"{}," * 400_000 + b"{}]", "/a")

    assert signal == Signal("TDMRep", "/.well-known/tdmrep.json", "longer than 1,048,576 bytes", "no")


def test_what_a_file_says_can_be_written_whatever_it_holds() -> None:
    body = b'[{"location": "/\\ud800", "tdm-reservation": 1, "more": [[[]]]}, {"location": "/", "tdm-reservation": 0}]'

    (first,) = of_tdmrep(body, "/\ud800x")
    assert first == Signal("TDMRep", "/.well-known/tdmrep.json", '{"location": "/?", "tdm-reservation": 1}', "no")


def test_one_no_is_a_no_and_silence_is_not_a_yes() -> None:
    yes, no, unknown = (Signal("x", "x", "x", verdict) for verdict in ("yes", "no", "unknown"))  # type: ignore[arg-type]

    assert most_restrictive([yes, no, unknown]) == "no"
    assert most_restrictive([unknown, yes]) == "yes"
    assert most_restrictive([unknown]) == "unknown"
    assert most_restrictive([]) == "unknown"


@pytest.mark.parametrize(
    "value", ["train-ai=y" + " " * 200_000 + ",", "," * 200_000, "a=(" * 70_000, ";" * 200_000, "noai:" * 40_000]
)
def test_no_value_is_long_to_read(value: str) -> None:
    began = time.process_time()
    for name in ("Content-Usage", "Content-Signal", "tdm-reservation", "X-Robots-Tag"):
        of_headers([(name, value)], "examplebot")
    of_page(value, "examplebot")
    of_robots(parse(b"User-agent: *\nContent-Usage: " + value.encode()), "examplebot", "/")

    assert time.process_time() - began < 2  # measured: 0.2
