"""Dumps of MediaWiki as Wikipedia publishes them: the articles, one at a time, as plain text with title and address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote
from xml.parsers import expat

from so8t.corpus import documents, wikitext
from so8t.corpus.documents import BLANK, Cut, Document, Unusable
from so8t.corpus.opened import blamed, opened
from so8t.corpus.rows import Rows, where
from so8t.errors import DataError

MARK = b"<mediawiki"
_ENDED = [
    expat.errors.codes[each] for each in (expat.errors.XML_ERROR_NO_ELEMENTS, expat.errors.XML_ERROR_UNCLOSED_TOKEN)
]
_FEED = 1 << 16
_ARTICLES = "0"  # the namespace; talks, users, templates and categories have others
_SAID = "articles of MediaWiki without their markup; redirects and pages of other namespaces count as blank"
_KEPT = ("title", "ns", "id", "model", "timestamp", "text")


def rows(path: Path, name: str, max_line: int, cut: Cut) -> Rows:
    """The file as a source gives it."""
    return documents.rows(name, _documents(path, name, max_line), cut, {name: _SAID})


def _documents(path: Path, name: str, max_line: int) -> Iterator[Document | Unusable]:
    number = 0

    def place() -> str:
        return where(name, number + 1, "record")

    dump = _Dump(max_line)
    with blamed(name, place, lambda: f"{number} whole records"), opened(path) as stream:
        try:
            while data := stream.read(_FEED):
                for page in dump.feed(data):
                    number += 1
                    yield _document(page, max_line)
            dump.feed(b"", last=True)
        except (expat.ExpatError, _HasDoctype) as error:
            raise DataError(f"{place()}: {_why(error)}; get the dump again") from error


class _HasDoctype(Exception):
    """No dump has one, and it may hold entities that explode."""


def _why(error: expat.ExpatError | _HasDoctype) -> str:
    if isinstance(error, _HasDoctype):
        return "it declares a document type, which no dump of MediaWiki does"
    return "the file ends before its dump does" if error.code in _ENDED else f"not XML: {error}"


@dataclass
class _Page:
    base: str
    redirect: bool = False
    found: dict[str, str] = field(default_factory=dict)
    size: int = 0  # characters of its text


def _document(page: _Page, longest: int) -> Document | Unusable:
    found = page.found
    if page.redirect or found.get("ns", _ARTICLES) != _ARTICLES or found.get("model", "wikitext") != "wikitext":
        return BLANK
    if page.size > longest:
        return documents.too_long(longest, f"the article {found.get('title')}")
    title = found.get("title", "")
    origin = {"url": page.base + quote(title.replace(" ", "_"))} if page.base else {}
    if revision := found.get("revision"):
        origin["revision"] = revision
    return Document(wikitext.plain(found.get("text", "")), title, origin)


class _Dump:
    """What expat has told so far: of a page no more than its last revision, and of a text no more than allowed."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._base = ""
        self._path: list[str] = []
        self._text: list[str] = []
        self._size = 0
        self._page = _Page("")
        self._whole: list[_Page] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._characters
        self._parser.StartDoctypeDeclHandler = self._refuse

    def feed(self, data: bytes, last: bool = False) -> list[_Page]:
        self._parser.Parse(data, last)
        whole, self._whole = self._whole, []
        return whole

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._path.append(name)
        self._text, self._size = [], 0
        if name == "page":
            self._page = _Page(self._base)
        self._page.redirect |= name == "redirect"

    def _characters(self, text: str) -> None:
        self._size += len(text)
        if self._size <= self._longest and self._path[-1] in (*_KEPT, "base"):
            self._text.append(text)

    def _end(self, name: str) -> None:
        self._path.pop()
        inside = self._path[-1] if self._path else ""
        text = "".join(self._text)
        if name == "page":
            self._whole.append(self._page)
        elif name == "base":
            self._base = text.rpartition("/")[0] + "/"
        elif name == "id" and inside == "revision":
            self._page.found["revision"] = text
        elif name in _KEPT and inside in ("page", "revision"):
            self._page.found[name] = text
            self._page.size = self._size if name == "text" else self._page.size
        self._text, self._size = [], 0

    def _refuse(self, *_: object) -> None:
        raise _HasDoctype
