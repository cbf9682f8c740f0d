"""Files as people have them: one set of records in every kind of file, what is said about each, and what is refused."""

import csv
import gzip
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from so8t.corpus import charsets
from so8t.corpus.files import LocalFiles
from so8t.corpus.rows import Defect
from so8t.engine.stage import Source
from so8t.errors import DataError

ROWS = [
    {"質問": "経費精算の締め日は？", "回答": "毎月二十五日です。", "番号": "1"},
    {"質問": "「１，０００円」とは, 何ですか\n二行目です", "回答": 'ＡＢＣと"半角"ｶﾅ～①', "番号": "2"},
    {"質問": "次の質問", "回答": "はい", "番号": "3"},
]


def table(rows: list[dict[str, str]], delimiter: str = ",") -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def sheet(path: Path, rows: list[list[Any]], title: str = "質問集") -> None:
    book = openpyxl.Workbook()
    assert book.active is not None
    book.active.title = title
    for row in rows:
        book.active.append(row)
    book.create_sheet("メモ").append(["メモ"])
    book.save(path)


def of_sheet(path: Path) -> None:
    sheet(path, [["質問", "回答", "番号"], *([row["質問"], row["回答"], int(row["番号"])] for row in ROWS)])


def arrow(path: Path) -> None:
    rows = pa.Table.from_pylist([{**row, "番号": int(row["番号"])} for row in ROWS])
    with pa.OSFile(str(path), "wb") as out, pa.ipc.new_stream(out, rows.schema) as writer:
        writer.write_table(rows)


def columns(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([{**row, "番号": float(row["番号"])} for row in ROWS]), path)


def text(written: str, encoding: str = "utf-8") -> Callable[[Path], None]:
    def write(path: Path) -> None:
        data = written.encode(encoding)
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)

    return write


LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS)
ARRAY = json.dumps(ROWS, ensure_ascii=False, indent=2)
COMMAS = "its cells parted by commas"
GUESSED = "and the bytes behind it are most like this"


@pytest.mark.parametrize(
    ("name", "write", "said"),
    [
        ("a.jsonl", text(LINES), None),
        ("a.json", text(ARRAY), None),
        ("a.json", text(LINES), "jsonl: its first line is one object"),
        ("a.jsonl", text(ARRAY), "json: it begins with ["),
        ("a.data", text(f"\ufeff{LINES}"), "jsonl: its first line is one object"),
        ("a.json.gz", text(ARRAY), None),
        ("a.csv", text(table(ROWS)), f"a table in utf-8 (all of it is UTF-8), {COMMAS}"),
        ("a.CSV", text(table(ROWS), "utf-8-sig"), f"a table in utf-8-sig (it begins with a byte order mark), {COMMAS}"),
        ("a.csv", text(table(ROWS), "cp932"), f"a table in cp932 (byte 1 is not UTF-8, {GUESSED}), {COMMAS}"),
        ("a.csv.gz", text(table(ROWS), "cp932"), f"a table in cp932 (byte 1 is not UTF-8, {GUESSED}), {COMMAS}"),
        ("a.csv", text(table(ROWS), "utf-16"), f"a table in utf-16 (it begins with a byte order mark), {COMMAS}"),
        (
            "a.tsv",
            text(table(ROWS, "\t"), "utf-16-le"),
            "a table in utf-16-le (it holds zero bytes and no byte order mark), its cells parted by tabs",
        ),
        ("a.csv", text(table(ROWS, ";")), "a table in utf-8 (all of it is UTF-8), its cells parted by semicolons"),
        ("a.parquet", columns, None),
        ("a.arrow", arrow, None),
        ("a.xlsx", of_sheet, "the sheet 質問集 of 質問集, メモ"),
        ("a.bin", of_sheet, "excel: its first bytes are those of excel; the sheet 質問集 of 質問集, メモ"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.startswith("a.") else "",
)
def test_every_kind_of_file_gives_the_same_records(
    tmp_path: Path, name: str, write: Callable[[Path], None], said: str | None
) -> None:
    write(tmp_path / name)

    rows = opened(tmp_path / name)

    assert [(row.number, rows.parse(row.data)) for row in rows.rows] == list(enumerate(ROWS, 1))
    assert rows.read_as == ({name: said} if said else {})


def opened(path: Path, **options: Any) -> Any:
    source = LocalFiles(name="faq", terms="t", trust="low", paths=["x"], **options)
    return source.open([Source(path.name, path)], path.parent, 1 << 20)


def refusal(path: Path, data: bytes, **options: Any) -> str:
    path.write_bytes(data)
    with pytest.raises(DataError) as error:
        list(opened(path, **options).rows)
    return str(error.value)


def test_a_long_first_line_in_a_json_file_is_a_record_all_the_same(tmp_path: Path) -> None:
    long = {"conversations": [{"from": "human", "value": "長い" * 40_000}]}
    text(f"{json.dumps(long)}\n{LINES}")(tmp_path / "a.json")

    rows = opened(tmp_path / "a.json")

    assert len(list(rows.rows)) == 4
    assert rows.read_as == {"a.json": "jsonl: its first line is one object"}


def test_files_of_several_kinds_are_read_one_after_the_other(tmp_path: Path) -> None:
    text(LINES)(tmp_path / "a.jsonl")
    columns(tmp_path / "b.parquet")
    source = LocalFiles(name="faq", terms="t", trust="low", paths=["x"])

    rows = source.open([Source(n, tmp_path / n) for n in ("a.jsonl", "b.parquet")], tmp_path, 1 << 20)

    found = [(row.place, rows.parse(row.data)["番号"]) for row in rows.rows]
    assert found == [
        *(("a.jsonl:1", "1"), ("a.jsonl:2", "2"), ("a.jsonl:3", "3")),
        *(("b.parquet: record 1", "1"), ("b.parquet: record 2", "2"), ("b.parquet: record 3", "3")),
    ]


def test_numbers_dates_and_truth_of_a_sheet_become_text_as_people_write_it(tmp_path: Path) -> None:
    from datetime import date, datetime

    sheet(
        tmp_path / "a.xlsx",
        [
            ["text", "label", None, "日付"],
            [3, True, "列名がない", date(2026, 11, 1)],
            [None, None, None, None],
            [2.5, "", None, datetime(2026, 11, 1, 9, 30)],
        ],
    )

    rows = opened(tmp_path / "a.xlsx")

    assert [row.data and rows.parse(row.data) for row in rows.rows] == [
        {"text": "3", "label": "true", "日付": "2026-11-01"},
        b"",
        {"text": "2.5", "label": "", "日付": "2026-11-01T09:30:00"},
    ]


def test_the_spec_says_which_sheet_charset_and_delimiter(tmp_path: Path) -> None:
    of_sheet(tmp_path / "a.xlsx")
    text("質問|回答\nあ,い|う\n", "euc_jp")(tmp_path / "a.csv")

    assert list(opened(tmp_path / "a.xlsx", sheet="メモ").rows) == []
    rows = opened(tmp_path / "a.csv", encoding="EUC-JP", delimiter="|")
    assert [rows.parse(row.data) for row in rows.rows] == [{"質問": "あ,い", "回答": "う"}]
    assert rows.read_as == {"a.csv": "a table in euc_jp (the spec says so), its cells parted by bars"}


def test_a_bad_row_of_a_table_is_a_defect_and_the_next_one_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b'a,b\r\n1,2,,\r\n\r\n1\r\n1,2,3\r\n"x"y,2\r\n5,6\r\n')
    rows = opened(tmp_path / "a.csv")

    said: list[Any] = []
    for row in rows.rows:
        try:
            said.append((row.number, row.data and rows.parse(row.data)))
        except Defect as defect:
            said.append((row.number, defect.reason, defect.detail, rows.raw(row.data)["raw"]))

    assert said == [
        (1, {"a": "1", "b": "2"}),
        (2, b""),
        (3, "wrong columns", "the row has 1 cells, and the first row names 2 columns", '["1"]'),
        (4, "wrong columns", "the row has 3 cells, and the first row names 2 columns", '["1","2","3"]'),
        (5, "not CSV", "not CSV: ',' expected after '\"'", "\"',' expected after '\\\"'\""),
        (6, {"a": "5", "b": "6"}),
    ]


@pytest.mark.parametrize(
    ("name", "data", "options", "message"),
    [
        ("a.csv", b"", {}, "a.csv: the first row is empty; it must name the columns"),
        ("a.csv", b"a,b,a\n1,2,3\n", {}, "a.csv: two columns are called 'a'; give each its own name"),
        (
            "a.csv",
            "質問,回答\nあ,い\n".encode(),
            {"encoding": "ascii"},
            "a.csv: the first row: byte 0xe8 has no meaning in ascii; "
            "write the encoding of the source, such as cp932 or utf-8",
        ),
        (
            "a.csv",
            "質問,回答\nあ,い\n".encode("utf-16") + b"\x00",
            {},
            "a.csv: record 2, or soon after it: not utf-16; write the encoding of the source, such as cp932 or utf-8",
        ),
        (
            "a.data",
            "本文だけのファイル\n".encode(),
            {},
            "a.data: neither its name nor its first bytes say what it is; "
            "write its kind: jsonl, json, csv, parquet, excel, text, html, warc, mediawiki, pdf",
        ),
        (
            "a.jsonl",
            '{"text": "あ"}\n'.encode("utf-16"),
            {},
            "a.jsonl: this file is UTF-16, and JSON is UTF-8: save it as UTF-8",
        ),
        (
            "a.parquet",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            {},
            "a.parquet: this is a pointer of Git LFS, not the data; get it with git lfs pull",
        ),
    ],
)
def test_a_file_that_cannot_be_read_says_why_and_what_to_do(
    tmp_path: Path, name: str, data: bytes, options: dict[str, Any], message: str
) -> None:
    assert refusal(tmp_path / name, data, **options) == message


def test_a_broken_parquet_and_a_broken_sheet_are_named(tmp_path: Path) -> None:
    assert refusal(tmp_path / "a.parquet", b"PAR1 broken").startswith("a.parquet: cannot read: ")
    assert refusal(tmp_path / "a.xlsx", b"PK\x03\x04 broken").startswith("a.xlsx: cannot read: ")
    of_sheet(tmp_path / "b.xlsx")
    with pytest.raises(DataError) as error:
        opened(tmp_path / "b.xlsx", sheet="回答")
    assert str(error.value) == "b.xlsx: there is no sheet '回答'; the sheets are 質問集, メモ"


def test_a_record_that_the_charset_cannot_hold_is_a_defect_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"a,b\n" + b"1,2\n" * 20_000 + "あ,い\n".encode("cp932") + b"3,4\n")

    rows = opened(tmp_path / "a.csv", encoding="utf-8")
    *_, bad, good = rows.rows

    with pytest.raises(Defect) as defect:
        rows.parse(bad.data)
    assert (bad.place, defect.value.detail) == ("a.csv: record 20001", "byte 0x82 has no meaning in utf-8")
    assert (rows.raw(bad.data), rows.parse(good.data)) == (
        {"raw": '["\\\\x82\\\\xa0","\\\\x82\\\\xa2"]'},
        {"a": "3", "b": "4"},
    )


@pytest.mark.parametrize("encoding", ["cp932", "euc_jp", "iso2022_jp", "gb18030", "big5", "cp949"])
@pytest.mark.parametrize("before", ["", "id,name\n" * 20_000])
def test_a_charset_is_found_by_the_bytes_of_the_whole_file(tmp_path: Path, encoding: str, before: str) -> None:
    words = {"gb18030": "报销的截止日期是什么时候？请联系负责人。", "big5": "報銷的截止日期是什麼時候？請聯絡負責人。"}
    words["cp949"] = "경비 정산 마감일은 언제입니까? 담당자에게 물어보세요."
    (tmp_path / "a.csv").write_bytes(
        (before + words.get(encoding, "経費の締め日はいつですか。担当者へ。")).encode(encoding)
    )

    assert charsets.find(tmp_path / "a.csv").name == encoding
