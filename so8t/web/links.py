"""Where a page, a sitemap or a feed leads: URLs as they stand there, made absolute."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urljoin

MOST = 50_000  # links of one document; a sitemap may hold that many
UNPACKED = 50 << 20  # bytes of a sitemap, by its protocol
_REFUSED = re.compile(r"\b(?:nofollow|none)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Leads:
    """URLs of pages, and of further sitemaps."""

    pages: tuple[str, ...] = ()
    sitemaps: tuple[str, ...] = ()


def _is_followed(attributes: Mapping[str, str]) -> bool:
    return "nofollow" not in (attributes.get("rel") or "").lower().split()


class _Anchors:
    """Told of every tag by the parser: links that may be followed, and what they are relative to."""

    def __init__(self) -> None:
        self.found: list[str] = []
        self.base = ""
        self.refused = False

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        name = (attributes.get("name") or "").strip().lower()
        if tag == "base" and not self.base:
            self.base = attributes.get("href") or ""
        elif tag == "meta" and name == "robots" and _REFUSED.search(attributes.get("content") or ""):
            self.refused = True
        elif tag in ("a", "area") and (href := attributes.get("href")) and _is_followed(attributes):
            self.found.append(href)

    def close(self) -> _Anchors:
        return self


def of_page(body: bytes, url: str, charset: str | None = None) -> Leads:
    """The links of a page of HTML; none where the page or the link says nofollow."""
    from lxml import etree

    try:
        parser = etree.HTMLParser(target=_Anchors(), encoding=charset, recover=True, huge_tree=True)
        seen: _Anchors = etree.fromstring(body or b" ", parser)
    except (LookupError, etree.ParserError):  # a charset that nobody knows, or a body without a tag
        return Leads() if charset is None else of_page(body, url)
    if seen.refused:
        return Leads()
    return Leads(tuple(_absolute(_joined(url, seen.base) or url, seen.found[:MOST])))


def of_sitemap(body: bytes, url: str) -> Leads:
    """The pages of a sitemap, the sitemaps of an index, or the lines of a text."""
    text = _unpacked(body)
    if not text.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        lines = text.decode("utf-8", "replace").splitlines()
        return Leads(tuple(_absolute(url, lines[:MOST])))
    pages, maps = list[str](), list[str]()
    for path, said, _ in _elements(text):
        if path[-1] == "loc" and len(path) > 1:
            (maps if path[-2] == "sitemap" else pages).append(said)
    return Leads(tuple(_absolute(url, pages[:MOST])), tuple(_absolute(url, maps[:MOST])))


def of_feed(body: bytes, url: str) -> Leads:
    """The pages of an RSS or Atom feed."""
    found = list[str]()
    for path, said, attributes in _elements(_unpacked(body)):
        if path[-1] == "link" and any(part in ("item", "entry") for part in path[:-1]):
            if attributes.get("href") and attributes.get("rel", "alternate") == "alternate":
                found.append(attributes["href"])
            elif said:
                found.append(said)
    return Leads(tuple(_absolute(url, found[:MOST])))


def _elements(text: bytes) -> Iterator[tuple[tuple[str, ...], str, Mapping[str, str]]]:
    """(names from the root, text, attributes) of every element; no entity and no file outside is read."""
    from lxml import etree

    parser = etree.XMLParser(recover=True, resolve_entities=False, no_network=True, load_dtd=False)
    root = etree.fromstring(text or b"<none/>", parser)
    if root is None:
        return
    for element in root.iter(etree.Element):
        names = (*(_local(each.tag) for each in reversed(list(element.iterancestors()))), _local(element.tag))
        yield names, (element.text or "").strip(), dict(element.attrib)


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2].lower()


def _unpacked(body: bytes) -> bytes:
    """A .gz as its content, as far as a sitemap may be long."""
    if not body.startswith(b"\x1f\x8b"):
        return body
    try:
        return zlib.decompressobj(31).decompress(body, UNPACKED)
    except zlib.error:
        return b""


def _absolute(base: str, found: list[str]) -> Iterator[str]:
    for each in found:
        if (url := _joined(base, each)) is not None:
            yield url


def _joined(base: str, href: str) -> str | None:
    try:
        return urljoin(base, href.strip()) if href.strip() else None
    except ValueError:
        return None
