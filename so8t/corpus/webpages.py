"""The kind `web`: main texts of the pages that `doit crawl` has left; no page is fetched here.

Each record carries its page's provenance: URL, time, terms, robots.txt and signals, validators, digest, place in WARC.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import field_validator

from so8t.corpus import maintext
from so8t.corpus.declared import Declared, Fields
from so8t.corpus.rows import Row, Rows
from so8t.engine.stage import Source
from so8t.errors import DataError, MissingExtra

PAGES = "pages.jsonl"
OF_A_PAGE = Fields(text="text", tags="tags")
OF_THE_PAGES = "those of each page, as crawl.yaml declares them"
_OF_ROW = ("url", "terms", "trust", "fetched", "robots", "signals", "etag", "last_modified", "sha256", "warc", "offset")


class WebPages(Declared):
    """Pages of a crawl of this project."""

    kind: Literal["web"]
    crawl: str
    """The folder of the crawl's artifact, such as `artifacts/web/crawl`."""
    of: tuple[str, ...] = ()
    """The crawl's sources whose pages are taken, by name; empty takes all."""
    terms: str = OF_THE_PAGES
    """Not given here: each record has the terms of its page."""
    trust: Literal["high", "medium", "low"] = "low"
    """Not given here: each record has the trust of its page."""
    fields: Fields | None = OF_A_PAGE
    """Not given here: the main text is the record's text, the title a tag."""

    @field_validator("terms", "trust", "fields")
    @classmethod
    def _stand_with_the_site(cls, value: Any, info: Any) -> Any:
        if value != cls.model_fields[info.field_name].default:
            raise ValueError(f"{info.field_name} of pages stand in crawl.yaml, with their site: leave it out")
        return value

    def patterns(self) -> list[str]:
        folder = self.crawl.rstrip("/")
        return [f"{folder}/{PAGES}", f"{folder}/warc/*.warc.gz"]

    def open(self, files: Sequence[Source], scratch: Path, max_line: int) -> Rows:
        (pages,) = (file for file in files if file.path.name == PAGES)
        archives = {file.path.name: file.path for file in files if file is not pages}
        found = (_row(pages.name, number, line, archives, self.of) for number, line in _lines(pages.path))
        return Rows((pages.name,), found, lambda page: page["record"], _raw, origin=lambda page: page["origin"])


def _lines(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            yield number, orjson.loads(line)


def _row(file: str, number: int, page: Mapping[str, Any], archives: Mapping[str, Path], of: Sequence[str]) -> Row:
    """A page without a main text, or of a source that is not taken, is a blank one."""
    if of and page["name"] not in of:
        return Row(file, number, b"")
    body = body_at(archives[page["warc"]], page["offset"], page["sha256"])
    text, title, _ = maintext.extract(body, page["content_type"], page["url"])
    if not text:
        return Row(file, number, b"")
    record = {"text": text, **({"tags": {"title": title}} if title else {})}
    origin = {key: page[key] for key in _OF_ROW} | {"site": page["name"]}
    return Row(file, number, {"record": record, "origin": origin})


def _raw(page: Mapping[str, Any]) -> dict[str, Any]:
    return {"raw": page["record"]["text"]}


def body_at(path: Path, offset: int, sha256: str) -> bytes:
    """The body of the record at this place."""
    try:
        from warcio.archiveiterator import ArchiveIterator
    except ImportError:
        raise MissingExtra("warcio", "web", "a source of kind web") from None
    with path.open("rb") as file:
        file.seek(offset)
        body: bytes = next(iter(ArchiveIterator(file))).content_stream().read()
    if hashlib.sha256(body).hexdigest() != sha256:
        raise DataError(f"{path.name}: the record at {offset:,} is not the page that {PAGES} names; doit verify crawl")
    return body
