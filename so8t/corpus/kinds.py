"""What a file is: its first bytes have the last word, its name the first."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import orjson

from so8t.corpus import excel, jsonl, mediawiki, parquet, pdffile, warcfile
from so8t.corpus.opened import BROKEN, bare_suffix, opened
from so8t.engine.stage import Source
from so8t.errors import DataError

Kind = Literal["jsonl", "json", "csv", "parquet", "excel", "text", "html", "warc", "mediawiki", "pdf"]
_BY_NAME: dict[str, Kind] = {
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".json": "json",
    **dict.fromkeys((".csv", ".tsv", ".tab"), "csv"),
    **dict.fromkeys((".parquet", ".arrow", ".feather"), "parquet"),
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), "excel"),
    **dict.fromkeys((".txt", ".text", ".md"), "text"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    ".warc": "warc",
    ".xml": "mediawiki",
    ".pdf": "pdf",
}
_BY_BYTES: tuple[tuple[Kind, tuple[bytes, ...]], ...] = (
    ("parquet", parquet.MAGIC),
    ("excel", excel.MAGIC),
    ("warc", (warcfile.MAGIC,)),
    ("pdf", (pdffile.MAGIC,)),
)
_PAGE = re.compile(rb"(<\?xml[^>]*>|<!--.*?-->|\s)*<(!doctype html|html)[\s>]", re.IGNORECASE | re.DOTALL)
_HEAD = 1 << 16
_ROOT = 1 << 12  # where the root of XML must have begun
_LONGEST = 16 << 20  # a first line that is looked at


class Found(NamedTuple):
    """What a file is, and why; no reason where its name and its bytes say the same."""

    kind: Kind
    why: str


def is_named(path: Path) -> bool:
    """Whether its name alone says what it is."""
    return bare_suffix(path) in _BY_NAME


def look(file: Source) -> Found:
    """What the file is, or a DataError if nothing shows it."""
    named, head = _BY_NAME.get(bare_suffix(file.path)), _head(file.path)
    _check_usable(file.name, named, head)
    for kind, marks in _BY_BYTES:
        if head.startswith(marks):
            return Found(kind, "" if named == kind else f"its first bytes are those of {kind}")
    if named in ("csv", "parquet", "excel", "html", "warc", "mediawiki", "pdf"):
        return Found(named, "")
    if found := _by_text(file.path, named, head.removeprefix(jsonl.BOM).lstrip()):
        return Found(found.kind, "" if named == found.kind else found.why)
    if named is None and head.strip():
        kinds = ", ".join(get_args(Kind))
        raise DataError(f"{file.name}: neither its name nor its first bytes say what it is; write its kind: {kinds}")
    return Found(named or "jsonl", "")


def _check_usable(name: str, named: Kind | None, head: bytes) -> None:
    if head.startswith(b"version https://git-lfs"):
        raise DataError(f"{name}: this is a pointer of Git LFS, not the data; get it with git lfs pull")
    if named in ("jsonl", "json") and head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{name}: this file is UTF-16, and JSON is UTF-8: save it as UTF-8")
    if named == "mediawiki" and head and mediawiki.MARK not in head[:_ROOT]:
        raise DataError(f"{name}: this XML is not a dump of MediaWiki; take what you need of it into JSONL")


def _by_text(path: Path, named: Kind | None, text: bytes) -> Found | None:
    """What its first characters show; a text may begin with a bracket, so its first line must be JSON."""
    plain = named == "text"
    if named is None and text.startswith(b"<") and mediawiki.MARK in text[:_ROOT]:
        return Found("mediawiki", "its root is <mediawiki>")
    if (plain or named is None) and _PAGE.match(text):
        return Found("html", "it begins as a page of HTML does")
    if text.startswith(b"[") and not plain:
        return Found("json", "it begins with [")
    if text.startswith(b"{") and (named not in ("json", "text") or _begins_with_a_record(path)):
        return Found("jsonl", "its first line is one object")
    return None


def _head(path: Path) -> bytes:
    """The first bytes; of a compressed file that is broken none, for whoever reads it says what is wrong."""
    try:
        with opened(path) as stream:
            return stream.read(_HEAD)
    except BROKEN:
        return b""


def _begins_with_a_record(path: Path) -> bool:
    """Whether the first line is a whole object, however long: it is one of the first lines of JSONL, then."""
    try:
        with opened(path) as stream:
            orjson.loads(stream.readline(_LONGEST).removeprefix(jsonl.BOM))
    except (orjson.JSONDecodeError, *BROKEN):
        return False
    return True
