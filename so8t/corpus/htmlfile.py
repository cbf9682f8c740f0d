"""Files of HTML: the main text of each, as a document."""

from __future__ import annotations

from pathlib import Path

from so8t.corpus import documents, maintext
from so8t.corpus.documents import Cut, Document
from so8t.corpus.opened import blamed, opened
from so8t.corpus.rows import Rows


def rows(path: Path, name: str, max_line: int, encoding: str | None, cut: Cut) -> Rows:
    """The file as a source gives it."""
    with blamed(name, lambda: name, lambda: "no page"), opened(path) as stream:
        body = stream.read(max_line + 1)
    if len(body) > max_line:
        return documents.rows(name, [documents.too_long(max_line, "a page")], cut, {})
    page = maintext.extract(body, encoding=encoding)
    said = f"the main text of a page in {page.charset.name} ({page.charset.why})"
    said += "" if page.text else "; it has none"
    return documents.rows(name, [Document(page.text, page.title)], cut, {name: said})
