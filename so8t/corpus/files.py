"""Files of this machine, of every kind that people have; what a file is, its first bytes and its name say.

The same file is always read in the same way: what was found out, and why, is printed and stands in stats.json.
"""

from __future__ import annotations

import codecs
from collections import ChainMap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from so8t.corpus import (
    archives,
    csvtable,
    excel,
    htmlfile,
    jsonarray,
    jsonl,
    mediawiki,
    parquet,
    pdffile,
    plaintext,
    warcfile,
)
from so8t.corpus.declared import Declared, Paths
from so8t.corpus.documents import Cut
from so8t.corpus.kinds import Found, Kind, is_named, look
from so8t.corpus.rows import Row, Rows
from so8t.engine.stage import Source

_OPTIONS = {
    "encoding": ("csv", "text", "html", "warc"),
    "delimiter": ("csv",),
    "sheet": ("excel",),
    "cut": ("text", "html", "warc", "mediawiki", "pdf"),
}


class LocalFiles(Declared):
    """Files of this machine: JSONL, a JSON array, CSV or TSV, Parquet, Excel; plain text, HTML, WARC, MediaWiki, PDF.

    Texts also as .gz, .bz2 or .zst, and all of them in .zip and .tar.
    """

    kind: Literal["files", "jsonl", "json", "csv", "parquet", "excel", "text", "html", "warc", "mediawiki", "pdf"] = (
        "files"
    )
    """files: each file is what its first bytes and its name say; another kind overrules them."""
    paths: Paths = Field(min_length=1)
    """Files relative to the project; *, ? and ** match names, and each pattern must match a file."""
    encoding: str | None = None
    """The charset of CSV, text, HTML and WARC, such as cp932; found out from their bytes if not given."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """The mark between the cells of CSV files; found out from the first line if not given."""
    sheet: str | None = None
    """The sheet of Excel files; the first one if not given."""
    cut: Cut = "document"
    """What one record is of plain text, pages and articles: the whole, a paragraph (up to a blank line), or a line."""

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str | None) -> str | None:
        try:
            return encoding and codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(f"not a charset that Python knows: {encoding!r}; try cp932, utf-8 or utf-16") from None

    @model_validator(mode="after")
    def _options_belong_to_the_kind(self) -> LocalFiles:
        for option, kinds in _OPTIONS.items():
            if getattr(self, option) != _default(option) and self.kind not in ("files", *kinds):
                *others, last = kinds
                known = f"{', '.join(others)} or {last}" if others else last
                raise ValueError(f"{option} is for kind: {known}, and kind is {self.kind}: leave one of them out")
        return self

    def patterns(self) -> list[str]:
        return self.paths

    def open(self, files: Sequence[Source], scratch: Path, max_line: int) -> Rows:
        return _together(
            [
                self._archive(file, scratch, max_line) if archives.is_one(file.path) else self._open(file, max_line)
                for file in files
            ]
        )

    def _archive(self, file: Source, scratch: Path, max_line: int) -> Rows:
        """The files in an archive, each looked at when its turn comes; how they were read is known at the end."""
        contents, read_as = archives.Contents(), dict[str, str]()

        def found() -> Iterator[Row]:
            for each in archives.files(file, scratch / "members", contents):
                if self.kind == "files" and not is_named(each.path):
                    contents.passed[each.path.suffix or "a name without a suffix"] += 1
                    continue
                rows = self._open(each, max_line)
                contents.read[rows.read_as.get(each.name, each.path.suffix)] += 1
                yield from _bound(rows)
            read_as[file.name] = contents.said()

        return _of_many((file.name,), found(), read_as)

    def _open(self, file: Source, max_line: int) -> Rows:
        found = look(file) if self.kind == "files" else Found(self.kind, "")
        rows = self._read(found.kind, file, max_line)
        said = [f"{found.kind}: {found.why}"] if found.why else []
        read_as = "; ".join([*said, *rows.read_as.values()])
        return replace(rows, read_as={file.name: read_as} if read_as else {})

    def _read(self, kind: Kind, file: Source, max_line: int) -> Rows:
        path, name = file.path, file.name
        readers = {
            "jsonl": lambda: jsonl.rows(path, name, max_line),
            "json": lambda: jsonarray.rows(path, name, max_line),
            "csv": lambda: csvtable.rows(path, name, max_line, self.encoding, self.delimiter),
            "parquet": lambda: parquet.rows(path, name),
            "excel": lambda: excel.rows(path, name, self.sheet),
            "text": lambda: plaintext.rows(path, name, max_line, self.encoding, self.cut),
            "html": lambda: htmlfile.rows(path, name, max_line, self.encoding, self.cut),
            "warc": lambda: warcfile.rows(path, name, max_line, self.encoding, self.cut),
            "mediawiki": lambda: mediawiki.rows(path, name, max_line, self.cut),
            "pdf": lambda: pdffile.rows(path, name, max_line, self.cut),
        }
        return readers[kind]()


def _default(option: str) -> Any:
    return LocalFiles.model_fields[option].default


# ---- several files, each read in its own way -----------------------------------------------------------------


@dataclass(frozen=True)
class _Bound:
    """A row's data, and the file that understands it."""

    rows: Rows
    data: Any


def _together(opened: Sequence[Rows]) -> Rows:
    files = tuple(name for rows in opened for name in rows.files)
    read_as: list[Any] = [rows.read_as for rows in reversed(opened)]  # a ChainMap begins with its last
    return _of_many(files, (row for rows in opened for row in _bound(rows)), ChainMap(*read_as))


def _bound(rows: Rows) -> Iterator[Row]:
    for row in rows.rows:
        yield row if row.data == b"" or isinstance(row.data, _Bound) else row._replace(data=_Bound(rows, row.data))


def _of_many(files: tuple[str, ...], rows: Iterator[Row], read_as: Mapping[str, str]) -> Rows:
    return Rows(
        files,
        rows,
        lambda each: each.rows.parse(each.data),
        lambda each: each.rows.raw(each.data),
        origin=lambda each: each.rows.origin(each.data),
        read_as=read_as,
    )
