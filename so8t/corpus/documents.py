"""Documents: texts without a question, such as articles and pages; a row is the whole, a paragraph or a line of it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from so8t.corpus.rows import Defect, Row, Rows

Cut = Literal["document", "paragraph", "line"]
_BETWEEN = {"paragraph": re.compile(r"\n[ \t\u3000]*\n"), "line": re.compile(r"\n")}


@dataclass(frozen=True)
class Document:
    """A text, its title, and what provenance says of it alone; without text it is a blank one."""

    text: str = ""
    title: str = ""
    origin: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Unusable:
    """Why a document cannot be used, and what is kept aside of it."""

    defect: Defect
    raw: Mapping[str, Any]


BLANK = Document()


def too_long(size: int, what: str = "a document") -> Unusable:
    detail = f"{what} of more than {size:,} bytes, which is max_line; raise max_line, or divide it"
    return Unusable(Defect("document too long", detail), {"longer_than": size})


def rows(name: str, found: Iterable[Document | Unusable], cut: Cut, read_as: Mapping[str, str]) -> Rows:
    """The documents of a file as a source gives them, numbered from 1 once they are cut."""
    cut_ones = (piece for each in found for piece in _pieces(each, cut))
    numbered = (Row(name, number, _row(each), "record") for number, each in enumerate(cut_ones, 1))
    return Rows((name,), numbered, _parse, _raw, origin=_origin, read_as=read_as)


def _pieces(found: Document | Unusable, cut: Cut) -> Iterator[Document | Unusable]:
    if isinstance(found, Unusable) or cut == "document":
        yield found
        return
    for piece in _BETWEEN[cut].split(found.text):
        yield Document(piece.strip(), found.title, found.origin)


def _row(found: Document | Unusable) -> Any:
    return b"" if isinstance(found, Document) and not found.text.strip() else found


def _parse(found: Document | Unusable) -> dict[str, Any]:
    if isinstance(found, Unusable):
        raise found.defect
    return {"text": found.text, **({"title": found.title, "tags": {"title": found.title}} if found.title else {})}


def _raw(found: Document | Unusable) -> dict[str, Any]:
    return dict(found.raw) if isinstance(found, Unusable) else {"raw": found.text}


def _origin(found: Document | Unusable) -> dict[str, Any]:
    return dict(found.origin) if isinstance(found, Document) else {}
