"""Plain text: a file is one document, or a record for each paragraph or line, read as it streams by."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from so8t.corpus import charsets, documents
from so8t.corpus.charsets import Charset
from so8t.corpus.documents import Cut, Document, Unusable
from so8t.corpus.opened import blamed, opened
from so8t.corpus.rows import Defect, Rows, where
from so8t.errors import DataError


def rows(path: Path, name: str, max_line: int, encoding: str | None, cut: Cut) -> Rows:
    """The file as a source gives it."""
    with blamed(name, lambda: name, lambda: "0 whole records"):
        charset = Charset(encoding, "the spec says so") if encoding else charsets.find(path)
    said = f"text in {charset.name} ({charset.why}), a record for each {'file' if cut == 'document' else cut}"
    found = _texts(path, name, max_line, charset.name, cut)
    return documents.rows(name, found, "document", {name: said})


def _texts(path: Path, name: str, max_line: int, encoding: str, cut: Cut) -> Iterator[Document | Unusable]:
    number = 0

    def place() -> str:
        return where(name, number + 1, "record")

    with blamed(name, place, lambda: f"{number} whole records"), opened(path) as stream:
        text = io.TextIOWrapper(stream, encoding, errors="surrogateescape")
        try:
            for piece in _cut(text, max_line, cut):
                number += 1
                yield piece if isinstance(piece, Unusable) else _document(piece, encoding)
        except UnicodeError:  # in a charset whose bytes cannot be told apart after a wrong one, such as UTF-16
            raise DataError(f"{place()}, or soon after it: not {encoding}; {charsets.HELP}") from None


def _cut(text: TextIO, longest: int, cut: Cut) -> Iterator[str | Unusable]:
    """The pieces of a text; of one that is too long nothing is held but its beginning."""
    held: list[str] = []
    size = 0
    while line := text.readline(longest + 1):
        whole = line.endswith("\n")
        if cut == "paragraph" and not size and not line.strip():
            continue
        if cut == "line" or (cut == "paragraph" and size and whole and not line.strip()):
            yield _joined([line] if cut == "line" else held, len(line) if cut == "line" else size, longest)
            held, size = [], 0
            if not whole:
                _skip_line(text)
            continue
        size += len(line)
        if size <= longest:
            held.append(line)
    if size:
        yield _joined(held, size, longest)


def _skip_line(text: TextIO) -> None:
    while (more := text.readline(1 << 20)) and not more.endswith("\n"):
        pass


def _joined(held: list[str], size: int, longest: int) -> str | Unusable:
    return documents.too_long(longest) if size > longest else "".join(held)


def _document(text: str, encoding: str) -> Document | Unusable:
    if (wrong := charsets.unreadable(text)) is not None:
        defect = Defect("wrong charset", f"byte 0x{wrong:02x} has no meaning in {encoding}")
        return Unusable(defect, {"raw": charsets.shown(text)})
    return Document(text.strip("\r\n"))
