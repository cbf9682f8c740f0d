"""Sites that are hard to crawl politely: hundreds of pages, rules for several agents, and every trap of the tests."""

from __future__ import annotations

import gzip
from dataclasses import replace
from email.utils import formatdate
from time import time

from tests.web.site import HTML, Page
from tests.web.test_crawl import article

AGENT, PAUSE, NUMBERED, LATE = "example-crawler", 0.05, 255, 3.0

ROBOTS = f"""# 図書館
User-agent: other-crawler
Disallow: /

User-agent: {AGENT}
User-agent: third-crawler
Disallow: /secret/
Allow: /secret/*.html$
Disallow: /*.cgi$
Disallow: /*/draft/*/new
Disallow: /*?print=
Crawl-delay: 0.02
Request-rate: {1 / PAUSE:.0f}/1
Content-Usage: /usage train-ai=n
Content-Signal: /signal ai-train=no

User-agent: *
Disallow: /n/
Crawl-delay: 9
"""
TDMREP = '[{"location": "/tdm/", "tdm-reservation": 1}]'
AI_TXT = "User-agent: *\nDisallow: /ai/\n"
DAY = "86400"


def said(**headers: str) -> Page:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Page(body=article("声明").body, headers={**HTML, **named})


def written(charset: str, declared: str, meta: str = "") -> Page:
    head = f'<meta charset="{meta}">' if meta else ""
    body = article(f"文字{charset}", f"/after-{charset}", head=head, charset=charset).body
    return Page(body=body, headers={"Content-Type": f"text/html{declared}"})


def at(to: str, status: int = 302) -> Page:
    return Page(status, headers={"Location": to})


# path -> its page, and what must be decided of it: None if it is kept, words that begin with these otherwise
TRAPS: dict[str, tuple[Page, tuple[str, str] | None]] = {
    "/bomb": (Page(body=gzip.compress(bytes(20 << 20)), headers={**HTML, "Content-Encoding": "gzip"}),
              ("not asked", "")),
    "/huge": (Page(body=bytes(3 << 20), headers=HTML), ("not asked", "")),
    "/huge-unsaid": (Page(body=bytes(3 << 20), headers=HTML, sized=False), ("not asked", "")),
    "/drip": (Page(body="x" * 200, headers=HTML, drip=0.05), ("not asked", "")),
    "/late": (Page(body="x", headers=HTML, slow=2 * LATE), ("not asked", "")),
    "/endless": (Page(endless=True), ("not asked", "its headers do not end")),
    "/broken": (Page(500), ("not asked", "answered 500")),
    "/gateway": (Page(502), ("not asked", "answered 502")),
    "/login": (Page(401), ("not asked", "answered 401")),
    "/busy": (Page(429, headers={"Retry-After": "1"}, then=article("混雑")), None),
    "/busy-again": (Page(503, headers={"Retry-After": "1"}, then=article("回復")), None),
    "/busy-today": (Page(429, headers={"Retry-After": DAY}), ("not asked", "answered 429: come again in 86,")),
    "/busy-date": (Page(503, headers={"Retry-After": formatdate(time() + 90_000, usegmt=True)}),
                   ("not asked", "answered 503: come again in ")),
    "/busy-silent": (Page(429), ("not asked", "answered 429")),
    "/gone": (Page(404), ("gone", "answered 404")),
    "/gone-for-ever": (Page(410), ("gone", "answered 410")),
    "/paid": (Page(402), ("no", "answered 402")),
    "/forbidden": (Page(403), ("no", "answered 403")),
    "/legal": (Page(451), ("no", "answered 451")),
    "/down": (at("/secret/x"), ("moved", "to ")),
    "/secret/x": (article("秘密"), ("no", "robots.txt:7: disallow: /secret/")),
    "/secret/open.html": (article("公開"), None),
    "/circle": (at("/circle-back"), ("moved", "to ")),
    "/circle-back": (at("/circle"), ("moved", "to ")),
    **{f"/hop{n}": (at(f"/hop{n + 1}", 301), ("moved", "to ")) for n in range(5)},
    "/hop5": (at("/hop6"), ("not asked", "redirects without end")),
    **{f"/day/{n}": (article(f"{n}日", f"/day/{n + 1}"), None) for n in range(1, 12)},
    "/loop/": (article("輪", "loop/"), None),
    "/loop/loop/": (article("輪輪", "loop/"), None),
    "/loop/loop/loop/": (article("輪輪輪"), ("out of scope", "a path that repeats itself")),
    "/sess": (article("会話", "/sess;jsessionid=B2", "/sess?PHPSESSID=C3"), None),
    "/cp932": (written("cp932", "; charset=utf-8"), None),
    "/euc_jp": (written("euc_jp", ""), None),
    "/iso2022_jp": (written("iso2022_jp", "", "iso-2022-jp"), None),
    "/utf-16": (written("utf-16", ""), None),
    "/utf-8": (written("utf-8", "; charset=x-nobody"), None),
    **{f"/after-{name}": (article("続き"), None) for name in ("cp932", "euc_jp", "iso2022_jp", "utf-16", "utf-8")},
    "/usage/1": (article("声明"), ("no", "robots.txt:14: content-usage: /usage train-ai=n")),
    "/signal/1": (article("声明"), ("no", "robots.txt:15: content-signal: /signal ai-train=no")),
    "/tdm/1": (article("声明"), ("no", "/.well-known/tdmrep.json: ")),
    "/ai/1": (article("声明"), ("no", "/ai.txt:2: disallow: /ai/")),
    "/tag": (said(X_Robots_Tag=f"{AGENT}: noai"), ("no", "header x-robots-tag: ")),
    "/meta": (article("声明", head='<meta name="robots" content="noai">'), ("no", "meta robots: noai")),
    "/use": (said(Content_Usage="train-ai=n"), ("no", "header content-usage: train-ai=n")),
    "/cloud": (said(Content_Signal="search=yes, ai-train=no"), ("no", "header content-signal: ")),
    "/reserved": (said(TDM_Reservation="1"), ("no", "header tdm-reservation: 1")),
    "/yes-and-no": (said(Content_Usage="train-ai=y", TDM_Reservation="1"), ("no", "header tdm-reservation: 1")),
    "/yes": (said(Content_Usage="train-ai=y", Content_Signal="ai-train=yes", TDM_Reservation="0"), None),
    "/for-others": (said(X_Robots_Tag="other-crawler: noai"), None),
    "/quiet": (article("静か", "/never", head='<meta name="robots" content="nofollow">'), None),
    "/picture.png": (Page(), ("out of scope", "the name of a file that is not a page")),
    "/paper": (Page(body=b"%PDF-1.7", headers={"Content-Type": "application/pdf"}), ("not a page", "application/pdf")),
}  # fmt: skip
LED_TO = ("/secret/x", "/circle-back", *(f"/hop{n}" for n in range(1, 6)), *(f"/day/{n}" for n in range(2, 12)))


def numbered(number: int) -> Page:
    """A page of the tree, with ways into everything that has no end and everything that is forbidden."""
    ways = (f"/n/{2 * number + 1}", f"/n/{2 * number + 2}") if number < NUMBERED // 2 else ()
    closed = (f"/secret/{number}", f"/run{number}.cgi", f"/n/{number}/draft/1/new", f"/n/{number}?print=1")
    endless = (f"/n/{number}?PHPSESSID={number}", f"/n/0;jsessionid={number}", f"/z?visit={number}")
    return article(f"記事{number}", *ways, *closed, *endless)


def library(stranger: str) -> dict[str, Page | str]:
    """The site itself; `stranger` is a site that it redirects to."""
    links = ("/out", *(path for path in TRAPS if path not in LED_TO and "loop/loop" not in path), "/sess;jsessionid=A1")
    found: dict[str, Page | str] = {"/robots.txt": ROBOTS, "/.well-known/tdmrep.json": TDMREP, "/ai.txt": AI_TXT}
    found |= {"/": article("入口", *links), "/out": at(stranger + "/")}
    found |= {path: page for path, (page, _) in TRAPS.items() if path != "/gone"}
    found |= {f"/n/{number}": numbered(number) for number in range(NUMBERED)}
    return {path: _visited(page) for path, page in found.items()}


def _visited(page: Page | str) -> Page:
    """With a cookie, which nobody may send back."""
    plain = page if isinstance(page, Page) else Page(body=page, headers={"Content-Type": "text/plain"})
    return replace(plain, headers={**plain.headers, "Set-Cookie": "visit=1"})


# what robots.txt answers -> what is asked for at most
CLOSED: dict[str, tuple[dict[str, Page | str], list[str]]] = {
    "500": ({"/robots.txt": Page(500)}, ["/robots.txt"]),
    "503": ({"/robots.txt": Page(503, headers={"Retry-After": "1"})}, ["/robots.txt"]),
    "429": ({"/robots.txt": Page(429)}, ["/robots.txt"]),
    "a page": ({"/robots.txt": article("ログイン")}, ["/robots.txt"]),
    "everything": ({"/robots.txt": "User-agent: *\nDisallow: /"}, ["/robots.txt"]),
    "a circle": ({"/robots.txt": at("/r"), "/r": at("/robots.txt")}, ["/robots.txt", "/r"] * 3),
    "five hops": ({"/robots.txt": at("/r1"), **{f"/r{n}": at(f"/r{n + 1}") for n in range(1, 5)},
                   "/r5": "User-agent: *\nDisallow: /"}, ["/robots.txt", "/r1", "/r2", "/r3", "/r4", "/r5"]),
}  # fmt: skip
OPEN: dict[str, Page] = {"404": Page(404), "403": Page(403), "empty": Page(headers={"Content-Type": "text/plain"})}
