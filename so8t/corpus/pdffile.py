"""PDF: the text of each page, in horizontal and vertical writing, by PDFium; lines that only the page broke are joined.

A record is a page, and its number the page's.  A page that is a picture has no text here: it takes OCR first.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from so8t.corpus import documents
from so8t.corpus.documents import BLANK, Cut, Document, Unusable
from so8t.corpus.rows import Defect, Rows
from so8t.errors import DataError, MissingExtra

MAGIC = b"%PDF-"
_MARKS = str.maketrans({"\x02": None, "\ufffe": None, "\r": None})  # PDFium's own: a hyphen at a line's end, no letter
_ENDS = "。．.！!？?:：」』）)"
_FULL = 0.8  # of the page's longest line: a shorter one ends where its writer ended it


def rows(path: Path, name: str, max_line: int, cut: Cut) -> Rows:
    """The file as a source gives it."""
    return documents.rows(name, _documents(path, name, max_line), cut, {name: "the text of its pages, one a record"})


def _documents(path: Path, name: str, max_line: int) -> Iterator[Document | Unusable]:
    try:
        import pypdfium2
    except ImportError:
        raise MissingExtra("pypdfium2", "collect", f"reading {name}") from None
    number = 0
    try:
        with pypdfium2.PdfDocument(path) as book:
            title = str(book.get_metadata_dict().get("Title", "")).strip()
            for number in range(len(book)):
                page = book[number]
                try:
                    found = _document(page, title, max_line)
                finally:
                    page.close()
                yield found
    except (pypdfium2.PdfiumError, OSError) as error:
        place = f"{name}: record {number + 1}" if number else name
        raise DataError(
            f"{place}: cannot read: {error}; open it in a viewer, and save it without a password"
        ) from error


def _document(page: Any, title: str, longest: int) -> Document | Unusable:
    text = page.get_textpage()
    written = "\n".join(in_order(list(_lines(text)))).translate(_MARKS)
    text.close()
    if len(written) > longest:
        return documents.too_long(longest, "a page")
    if written.strip():
        return Document(joined(written), title)
    if next(page.get_objects(), None) is None:
        return BLANK
    return Unusable(Defect("no text", "no text: the page is a picture; read it by OCR first"), {})


class Line(NamedTuple):
    """A line as PDFium gives it, and where it begins and ends, from the page's lower left."""

    text: str
    start: tuple[float, float]
    end: tuple[float, float]

    @property
    def goes_down(self) -> bool:
        return self.start[1] - self.end[1] > abs(self.start[0] - self.end[0])


def _lines(text: Any) -> Iterator[Line]:
    import pypdfium2.raw as pdfium

    letters: list[str] = []
    places: list[tuple[float, float]] = []
    x, y = ctypes.c_double(), ctypes.c_double()
    for index in range(text.count_chars()):
        letter = chr(pdfium.FPDFText_GetUnicode(text, index))
        if letter == "\n":
            yield _line(letters, places)
            letters, places = [], []
            continue
        letters.append(letter)
        if not letter.isspace() and pdfium.FPDFText_GetCharOrigin(text, index, x, y):
            places.append((x.value, y.value))
    yield _line(letters, places)


def _line(letters: list[str], places: list[tuple[float, float]]) -> Line:
    text = "".join(letters).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return Line(text, *((places[0], places[-1]) if places else ((0.0, 0.0), (0.0, 0.0))))


def in_order(lines: list[Line]) -> list[str]:
    """Columns that begin at one height come from left to right, as lines do; columns are read from the right."""
    found: list[list[Line]] = [[]]
    for line in lines:
        run = found[-1]
        if not (run and run[-1].goes_down and line.start[0] > run[-1].start[0]):
            run = []
            found.append(run)
        run.append(line)
    return [line.text for run in found for line in reversed(run)]


def joined(text: str) -> str:
    """The lines of a page, those that run on in the next one with it: between two of ASCII is a space."""
    lines = [line.strip() for line in text.split("\n")]
    full = _FULL * max(map(len, lines))
    found = lines[:1]
    for before, line in pairwise(lines):
        if before and line and len(before) >= full and before[-1] not in _ENDS:
            found[-1] += (" " if before[-1].isascii() and line[0].isascii() else "") + line
        else:
            found.append(line)
    return "\n".join(found).strip()
