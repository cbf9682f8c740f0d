"""Files of this machine, of every kind that people have; what a file is, its first bytes and its name say.

The same file is always read in the same way: what was found out, and why, is printed and stands in stats.json.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import orjson
from pydantic import Field, field_validator, model_validator

from so8t.corpus import csvtable, excel, jsonarray, jsonl, parquet
from so8t.corpus.declared import Declared, Paths
from so8t.corpus.opened import BROKEN, bare_suffix, opened
from so8t.corpus.rows import Row, Rows
from so8t.engine.stage import Source
from so8t.errors import DataError

Kind = Literal["jsonl", "json", "csv", "parquet", "excel"]
_BY_NAME: dict[str, Kind] = {
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    ".json": "json",
    **dict.fromkeys((".csv", ".tsv", ".tab"), "csv"),
    **dict.fromkeys((".parquet", ".arrow", ".feather"), "parquet"),
    **dict.fromkeys((".xlsx", ".xlsm", ".xlsb", ".xls", ".ods"), "excel"),
}
_OPTIONS = {"encoding": "csv", "delimiter": "csv", "sheet": "excel"}
_HEAD = 1 << 16
_LONGEST = 16 << 20  # a first line that is looked at


class LocalFiles(Declared):
    """Files of this machine: JSONL, a JSON array, CSV or TSV, Parquet, Excel; the texts also as .gz or .zst."""

    kind: Literal["files", "jsonl", "json", "csv", "parquet", "excel"] = "files"
    """files: each file is what its first bytes and its name say; another kind overrules them."""
    paths: Paths = Field(min_length=1)
    """Files relative to the project; *, ? and ** match names, and each pattern must match a file."""
    encoding: str | None = None
    """The charset of CSV files, such as cp932; found out from their bytes if not given."""
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    """The mark between the cells of CSV files; found out from the first line if not given."""
    sheet: str | None = None
    """The sheet of Excel files; the first one if not given."""

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, encoding: str | None) -> str | None:
        try:
            return encoding and codecs.lookup(encoding).name
        except LookupError:
            raise ValueError(f"not a charset that Python knows: {encoding!r}; try cp932, utf-8 or utf-16") from None

    @model_validator(mode="after")
    def _options_belong_to_the_kind(self) -> LocalFiles:
        for option, kind in _OPTIONS.items():
            if getattr(self, option) is not None and self.kind not in ("files", kind):
                raise ValueError(f"{option} is for kind: {kind}, and kind is {self.kind}: leave one of them out")
        return self

    def patterns(self) -> list[str]:
        return self.paths

    def open(self, files: Sequence[Source], scratch: Path, max_line: int) -> Rows:
        return _together([self._open(file, max_line) for file in files])

    def _open(self, file: Source, max_line: int) -> Rows:
        found = look(file) if self.kind == "files" else Found(self.kind, "")
        rows = self._read(found.kind, file, max_line)
        said = [f"{found.kind}: {found.why}"] if found.why else []
        read_as = "; ".join([*said, *rows.read_as.values()])
        return Rows(rows.files, rows.rows, rows.parse, rows.raw, read_as={file.name: read_as} if read_as else {})

    def _read(self, kind: Kind, file: Source, max_line: int) -> Rows:
        if kind == "jsonl":
            return jsonl.rows(file.path, file.name, max_line)
        if kind == "json":
            return jsonarray.rows(file.path, file.name, max_line)
        if kind == "csv":
            return csvtable.rows(file.path, file.name, max_line, self.encoding, self.delimiter)
        if kind == "parquet":
            return parquet.rows(file.path, file.name)
        return excel.rows(file.path, file.name, self.sheet)


class Found(NamedTuple):
    """What a file is, and why; no reason where its name and its bytes say the same."""

    kind: Kind
    why: str


def look(file: Source) -> Found:
    """What the file is: its bytes have the last word, its name the first."""
    named = _BY_NAME.get(bare_suffix(file.path))
    head = _head(file.path)
    if head.startswith(b"version https://git-lfs"):
        raise DataError(f"{file.name}: this is a pointer of Git LFS, not the data; get it with git lfs pull")
    if named in ("jsonl", "json") and head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise DataError(f"{file.name}: this file is UTF-16, and JSON is UTF-8: save it as UTF-8")
    for kind, marks in (("parquet", parquet.MAGIC), ("excel", excel.MAGIC)):
        if head.startswith(marks):
            return Found(kind, "" if named == kind else f"its first bytes are those of {kind}")  # type: ignore[arg-type]
    text = head.removeprefix(jsonl.BOM).lstrip()
    if named in ("csv", "parquet", "excel"):
        return Found(named, "")
    if text.startswith(b"["):
        return Found("json", "" if named == "json" else "it begins with [")
    if text.startswith(b"{") and (named != "json" or _begins_with_a_record(file.path)):
        return Found("jsonl", "" if named == "jsonl" else "its first line is one object")
    if named is None and text:
        kinds = ", ".join(get_args(Kind))
        raise DataError(f"{file.name}: neither its name nor its first bytes say what it is; write its kind: {kinds}")
    return Found(named or "jsonl", "")


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


# ---- several files, each read in its own way -----------------------------------------------------------------


@dataclass(frozen=True)
class _Bound:
    """A row's data, and the file that understands it."""

    rows: Rows
    data: Any


def _together(opened: Sequence[Rows]) -> Rows:
    def bound() -> Iterator[Row]:
        for rows in opened:
            for row in rows.rows:
                yield row if row.data == b"" else row._replace(data=_Bound(rows, row.data))

    return Rows(
        tuple(name for rows in opened for name in rows.files),
        bound(),
        lambda each: each.rows.parse(each.data),
        lambda each: each.rows.raw(each.data),
        read_as={name: said for rows in opened for name, said in rows.read_as.items()},
    )
