"""WARC files: the main text of each page that was fetched, with its address and its time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from so8t.corpus import documents, maintext
from so8t.corpus.documents import BLANK, Cut, Document, Unusable
from so8t.corpus.opened import blamed, opened
from so8t.corpus.rows import Rows, where
from so8t.errors import DataError, MissingExtra

MAGIC = b"WARC/"
_PAGES = ("text/html", "application/xhtml+xml")
_OF_THE_WEB = ("http:", "https:", "ftp:", "file:")  # wget and browsers keep their own notes as resources, too
_SAID = "the main text of its pages of HTML, and its plain texts; other records and answers but 200 count as blank"


def rows(path: Path, name: str, max_line: int, encoding: str | None, cut: Cut) -> Rows:
    """The file as a source gives it."""
    return documents.rows(name, _documents(path, name, max_line, encoding), cut, {name: _SAID})


def _documents(path: Path, name: str, max_line: int, encoding: str | None) -> Iterator[Document | Unusable]:
    try:
        from warcio.archiveiterator import ArchiveIterator
        from warcio.exceptions import ArchiveLoadFailed
    except ImportError:
        raise MissingExtra("warcio", "web", f"reading {name}") from None
    number = 0

    def place() -> str:
        return where(name, number + 1, "record")

    with blamed(name, place, lambda: f"{number} whole records"), opened(path) as stream:
        try:
            for record in ArchiveIterator(stream):
                found = _document(record, max_line, encoding)
                _check_whole(record.raw_stream)
                number += 1
                yield found
            stream.read(1)  # the iterator takes a compressed file that was cut for the end; this does not
        except _Cut:
            raise DataError(f"{place()}: the file ends in the middle of it; get it again") from None
        except ArchiveLoadFailed as error:
            raise DataError(f"{place()}: not WARC: {' '.join(str(error).split())}; get the file again") from error


class _Cut(Exception):
    """Less is there than the record says."""


def _document(record: Any, max_line: int, encoding: str | None) -> Document | Unusable:
    """One record; BLANK if it is not a page that was there."""
    http = record.http_headers
    named = (http.get_header("Content-Type") if http else record.rec_headers.get_header("Content-Type")) or ""
    kind = named.partition(";")[0].strip().lower()
    url = record.rec_headers.get_header("WARC-Target-URI") or ""
    answered = record.rec_type == "response" and http and _status(http) == "200"
    answered = answered or (record.rec_type == "resource" and url.startswith(_OF_THE_WEB))
    if not answered or kind not in (*_PAGES, "text/plain"):
        return BLANK
    body = record.content_stream().read(max_line + 1)
    if len(body) > max_line:
        return documents.too_long(max_line, "a page")
    fetched = record.rec_headers.get_header("WARC-Date")
    origin = {key: value for key, value in (("url", url), ("fetched", fetched)) if value}
    if kind == "text/plain":
        charset = encoding or maintext.charset_of(body, named).name
        return Document(body.decode(charset, "replace").strip(), origin=origin)
    page = maintext.extract(body, named, url, encoding)
    return Document(page.text, page.title, origin)


def _check_whole(stream: Any) -> None:
    while stream.read(1 << 16):
        pass
    if getattr(stream, "limit", 0) > 0:
        raise _Cut


def _status(http: Any) -> str:
    return str(http.get_statuscode())
