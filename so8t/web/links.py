"""Where a page, a sitemap or a feed leads: URLs as they stand there, made absolute."""

from __future__ import annotations

import gzip
import io
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import urljoin

MOST = 50_000  # links of one document; a sitemap may hold that many
UNPACKED = 50 << 20  # bytes of a sitemap, by its protocol
_BROKEN = (EOFError, OSError, zlib.error)  # of a .gz
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
        elif tag in ("a", "area") and len(self.found) < MOST and (href := attributes.get("href")):
            self.found += [href] if _is_followed(attributes) else []

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
    return Leads(tuple(_absolute(_joined(url, seen.base) or url, seen.found)))


def of_sitemap(body: bytes, url: str) -> Leads:
    """The pages of a sitemap, the sitemaps of an index, or the lines of a text."""
    with _unpacked(body) as text:
        if not _begins(text).startswith(b"<"):
            return Leads(tuple(_absolute(url, _lines(text))))
        pages, maps = list[str](), list[str]()
        for path, said, _ in _elements(text, "loc"):
            if len(path) > 1:
                (maps if path[-2] == "sitemap" else pages).append(said)
    return Leads(tuple(_absolute(url, pages)), tuple(_absolute(url, maps)))


def of_feed(body: bytes, url: str) -> Leads:
    """The pages of an RSS or Atom feed."""
    found = list[str]()
    with _unpacked(body) as text:
        for path, said, attributes in _elements(text, "link"):
            if any(part in ("item", "entry") for part in path[:-1]):
                if attributes.get("href") and attributes.get("rel", "alternate") == "alternate":
                    found.append(attributes["href"])
                elif said:
                    found.append(said)
    return Leads(tuple(_absolute(url, found)))


Found = tuple[tuple[str, ...], str, Mapping[str, str]]


class _Named:
    """Told of every element by the parser, so that a long document makes no tree: those of one name, the first ones."""

    def __init__(self, name: str) -> None:
        self.name, self.found = name, list[Found]()
        self._path: list[str] = []
        self._attributes: Mapping[str, str] = {}
        self._said: list[str] | None = None

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self._path.append(_local(tag))
        if self._path[-1] == self.name and len(self.found) < MOST:
            self._said, self._attributes = [], dict(attributes)

    def data(self, text: str) -> None:
        if self._said is not None:
            self._said.append(text)

    def end(self, tag: str) -> None:
        if self._said is not None and _local(tag) == self.name:
            self.found.append((tuple(self._path), "".join(self._said).strip(), self._attributes))
            self._said = None
        self._path.pop()

    def close(self) -> _Named:
        return self


def _elements(text: BinaryIO, name: str) -> list[Found]:
    """(names from the root, text, attributes) of elements of one name; no entity and no file outside is read."""
    from lxml import etree

    told, read = _Named(name), 0
    parser = etree.XMLParser(target=told, recover=True, resolve_entities=False, no_network=True, load_dtd=False)
    with suppress(etree.XMLSyntaxError, *_BROKEN):  # what came before counts
        while (chunk := text.read(1 << 16)) and read < UNPACKED:
            parser.feed(chunk)
            read += len(chunk)
        parser.close()
    return told.found


def _local(tag: object) -> str:
    return str(tag).rpartition("}")[2].lower()


def _unpacked(body: bytes) -> io.BufferedReader:
    """The content, of a .gz too."""
    file = io.BytesIO(body)
    raw = gzip.GzipFile(fileobj=file) if body.startswith(b"\x1f\x8b") else file
    return io.BufferedReader(raw)


def _begins(text: io.BufferedReader) -> bytes:
    try:
        return text.peek(1 << 12).lstrip(b"\xef\xbb\xbf \t\r\n")
    except _BROKEN:
        return b"<"  # no element will be found


def _lines(text: BinaryIO) -> list[str]:
    """Those that hold something, as far as a sitemap may be long."""
    plain, found, read = io.TextIOWrapper(text, "utf-8-sig", "replace"), list[str](), 0
    with suppress(*_BROKEN):
        while len(found) < MOST and read < UNPACKED and (line := plain.readline(UNPACKED)):
            found += [line] if line.strip() else []
            read += len(line)
    return found


def _absolute(base: str, found: Iterable[str]) -> Iterator[str]:
    for each in found:
        if (url := _joined(base, each)) is not None:
            yield url


def _joined(base: str, href: str) -> str | None:
    try:
        return urljoin(base, href.strip()) if href.strip() else None
    except ValueError:
        return None
