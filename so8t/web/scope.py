"""What a declared source of the web takes: which URLs, how deep, how many; and one spelling of a URL, without sessions.

A calendar or a session trap has no end, so every way into it is bounded: depth, requests, variants of one path.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from so8t.web.asking import target
from so8t.web.patterns import Pattern, spellings

Trust = Literal["high", "medium", "low"]
TRUSTS: tuple[Trust, ...] = ("high", "medium", "low")

ANOTHER_HOST = "another host"
LONGEST = 2000  # characters of a URL
FEWEST, LINKS = 10_000, 20  # URLs of a host that are remembered: at least, and for each page that it may have
AGAIN = 2  # times that a segment of a path may return: a third is a loop of relative links
_USUAL = (("http", "80"), ("https", "443"))
_SESSIONS = re.compile(r"phpsessid|jsessionid|aspsessionid.*|session_?id|sid|utm_.*|fbclid|gclid", re.IGNORECASE)
_IN_PATH = re.compile(r";jsessionid=[^/;]*", re.IGNORECASE)
_NOT_PAGES = re.compile(
    r"\.(?:7z|avi|bmp|bz2|css|docx?|exe|gif|gz|ico|iso|jpe?g|js|json|m4a|mov|mp[34]|ogg|pdf|png|pptx?|rar|svg|tar|tiff?|txt"
    r"|wav|webm|webp|woff2?|xlsx?|zip|zst)$",
    re.IGNORECASE,
)


def plain(url: str) -> str | None:
    """The URL that is asked for: no fragment, no session; None for what is not a URL of the web."""
    try:
        parts = urlsplit(url.strip())
        _ = parts.port
    except ValueError:
        return None
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    query = parts.query
    if any(_SESSIONS.fullmatch(name) for name, _ in parse_qsl(query, keep_blank_values=True)):
        kept = [pair for pair in parse_qsl(query, keep_blank_values=True) if not _SESSIONS.fullmatch(pair[0])]
        query = urlencode(kept)
    path = _IN_PATH.sub("", parts.path) or "/"
    host = host_of(parts.netloc, parts.scheme.lower())
    return urlunsplit((parts.scheme.lower(), host, path, query, "")) if host else None


def host_of(netloc: str, scheme: str = "") -> str:
    """One spelling of a host and its port: 日本語.jp as it is asked for, no port that goes without saying."""
    name, _, port = netloc.lower().partition(":") if "[" not in netloc else (netloc.lower(), "", "")
    try:
        name = name.rstrip(".") if name.isascii() else name.rstrip(".。").encode("idna").decode("ascii")
    except UnicodeError:
        return ""
    return f"{name}:{port}" if port and (scheme, port) not in _USUAL else name


def identity(url: str) -> str:
    """The same for two spellings of one page: the order of a query and percent-encoding do not count."""
    parts = urlsplit(url)
    query = "&".join(sorted(parts.query.split("&"))) if parts.query else ""
    return f"{parts.scheme}://{parts.netloc}{spellings(target(urlunsplit(parts._replace(query=query))))[0]}"


@dataclass(frozen=True)
class Scope:
    """A source's name, terms and trust, where it begins, and where it ends."""

    name: str
    terms: str
    trust: Trust
    seeds: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()
    feeds: tuple[str, ...] = ()
    hosts: frozenset[str] = frozenset()  # as in URLs, with a port where there is one
    allow: tuple[Pattern, ...] = ()
    deny: tuple[Pattern, ...] = ()
    depth: int = 3
    per_host: int = 1000
    variants: int = 20

    @property
    def remembered(self) -> int:
        """The most URLs of one host that wait, and the most that have a decision without being asked for."""
        return max(FEWEST, LINKS * self.per_host)

    def refuses(self, url: str) -> str:
        """Why the source does not take the URL; nothing if it does."""
        parts = urlsplit(url)
        if parts.netloc not in self.hosts:
            return ANOTHER_HOST
        return _trap(url, parts.path) or self._by_patterns(spellings(target(url)))

    def _by_patterns(self, spelled: tuple[str, ...]) -> str:
        if _any(self.deny, spelled):
            return "denied by the source's patterns"
        if self.allow and not _any(self.allow, spelled):
            return "not allowed by the source's patterns"
        return ""


def _trap(url: str, path: str) -> str:
    """Why nobody would take it for a page."""
    if len(url) > LONGEST:
        return f"longer than {LONGEST:,} characters"
    if _NOT_PAGES.search(path):
        return "the name of a file that is not a page"
    segments = Counter(segment for segment in path.split("/") if segment)
    return "a path that repeats itself" if any(count > AGAIN for count in segments.values()) else ""


def hosts_of(urls: Iterable[str]) -> frozenset[str]:
    return frozenset(host_of(parts.netloc, parts.scheme.lower()) for parts in map(urlsplit, urls))


def _any(patterns: Iterable[Pattern], spelled: tuple[str, ...]) -> bool:
    return any(pattern.matches(each) for pattern in patterns for each in spelled)
