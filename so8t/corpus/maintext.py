"""The main text of a page of HTML, without its navigation, comments and boilerplate, and the charset of the page."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import Any, NamedTuple

from so8t.corpus import charsets
from so8t.corpus.charsets import Charset
from so8t.errors import MissingExtra

_META = re.compile(rb"<meta[^>]{0,200}charset\s*=\s*[\"']?([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,200}encoding\s*=\s*[\"']([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_HEADER = re.compile(r"charset\s*=\s*[\"']?([A-Za-z0-9_.:-]+)", re.IGNORECASE)
_SHORTEST = "50"  # characters of a main text; trafilatura's 250 are meant for letters, and a short page lost its shape
_WORDS = ("abbr", "b", "code", "em", "i", "kbd", "mark", "samp", "small", "span", "strong", "tt", "var")
_HEAD = 1 << 12  # where browsers look for a meta tag, four times over


class Page(NamedTuple):
    """What a reader of the page reads; no text where it has no main text."""

    text: str
    title: str
    charset: Charset


def extract(body: bytes, content_type: str = "", url: str | None = None, encoding: str | None = None) -> Page:
    """The page's main text; `encoding` overrules what header, page and bytes say."""
    try:
        import trafilatura
        from trafilatura.settings import DEFAULT_CONFIG
    except ImportError:
        raise MissingExtra("trafilatura", "web", "reading HTML") from None
    config = deepcopy(DEFAULT_CONFIG)
    config["DEFAULT"]["MIN_EXTRACTED_SIZE"] = _SHORTEST
    charset = Charset(encoding, "the spec says so") if encoding else charset_of(body, content_type)
    written = body.decode(charset.name, "replace")  # as browsers do
    if (tree := trafilatura.load_html(written)) is None:
        return Page("", "", charset)
    _unmarked(tree)
    document: Any = trafilatura.bare_extraction(
        tree, url=url, include_comments=False, with_metadata=True, config=config
    )
    if document is None:
        return Page("", "", charset)
    return Page((document.text or "").strip(), (document.title or "").strip(), charset)


def _unmarked(tree: Any) -> None:
    """Take marks away from words within a sentence: trafilatura drops `<span class="guimenu">` as it does a menu, and
    much of what stands beside `<em><code>`; its plain text has no marks in any case.
    """
    for word in list(tree.iterdescendants(*_WORDS)):
        before = word.getprevious()
        beside = (word.tail, word.getparent().text if before is None else before.tail)
        if any(text and text.strip() for text in beside):
            word.drop_tag()


def decoded(body: bytes, content_type: str) -> str:
    """The page's text as browsers show it, what its charset does not have replaced."""
    return body.decode(charset_of(body, content_type).name, "replace")


def charset_of(body: bytes, content_type: str = "") -> Charset:
    """The charset by the bytes, the header and the page's own words, in the order of what they are worth."""
    head = body[:_HEAD]
    said = [found[1] for found in (_HEADER.search(content_type),) if found]
    said += [found[1].decode("ascii") for found in (_META.search(head), _XML.search(head)) if found]
    return charsets.of_bytes(body, said)
