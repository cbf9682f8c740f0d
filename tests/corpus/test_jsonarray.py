"""JSON arrays cut into records: as orjson reads them, in pieces of any size, in little memory."""

import gzip
import io
import json
import re
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.corpus import jsonarray
from so8t.corpus.jsonarray import records
from so8t.corpus.jsonl import TooLong, parse
from so8t.errors import DataError


def read(path: Path, data: bytes, max_line: int = 1 << 20) -> list[tuple[int, object]]:
    path.write_bytes(data)
    return [(row.number, row.data) for row in records(path, path.name, max_line)]


def said(path: Path, data: bytes) -> str:
    with pytest.raises(DataError) as error:
        read(path, data)
    return str(error.value)


def test_a_record_is_the_text_between_two_commas(tmp_path: Path) -> None:
    data = '\ufeff [\r\n  {"text": "「、」[,]{}\\"\\\\", "n": [1, {"a": 2}]},\n  "次",3 , null\n]\n'.encode()

    assert read(tmp_path / "a.json", data) == [
        (1, '{"text": "「、」[,]{}\\"\\\\", "n": [1, {"a": 2}]}'.encode()),
        (2, '"次"'.encode()),
        (3, b"3"),
        (4, b"null"),
    ]


def test_an_empty_array_has_no_record_and_an_empty_place_is_blank(tmp_path: Path) -> None:
    assert read(tmp_path / "a.json", b" [ ] ") == []
    assert read(tmp_path / "a.json", b'[{"a":1},,{"b":2},\n]') == [(1, b'{"a":1}'), (2, b""), (3, b'{"b":2}'), (4, b"")]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'[{"a":1},{"b":', "a.json: record 2: the file ends before its array does; get it again"),
        (b"[", "a.json: record 1: the file ends before its array does; get it again"),
        (b"", "a.json: record 1: the file ends before its array does; get it again"),
        (b'[{"a":1}}]', "a.json: record 1: a } closes nothing"),
        (
            b'[1]\n{"a":1}',
            "a.json: record 2: the array ended before it, and more follows: b'{\"a\":1}'; a file holds one array",
        ),
        (
            b"text",
            "a.json: record 1: the file does not begin with an array ([); kind: jsonl reads one record a line",
        ),
    ],
)
def test_an_array_that_is_not_one_is_an_error_that_says_where(tmp_path: Path, data: bytes, message: str) -> None:
    assert said(tmp_path / "a.json", data) == message


def test_the_one_list_in_an_object_holds_the_records(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(
        '{\n "version": 1,\n "data": [\n  {"text": "あ"},\n  {"text": "い"}\n ]\n}\n', "utf-8"
    )

    rows = jsonarray.rows(tmp_path / "a.json", "a.json", 1 << 20)

    assert [(row.place, rows.parse(row.data)) for row in rows.rows] == [
        ("a.json: record 1", {"text": "あ"}),
        ("a.json: record 2", {"text": "い"}),
    ]
    assert rows.read_as == {"a.json": "its records are the list 'data'"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b'{\n"train": [{"a": 1}], "test": [{"a": 2}], "n": 3}',
            "a.json: the file is one object, not an array, and 2 of its keys hold records: train, test, n; "
            "give the array alone, or one record a line",
        ),
        (
            b'{\n"text": "a"\n}\n{\n"text": "b"\n}',
            "a.json: not JSON: unexpected content after document at character 17; "
            "a file holds one array, or one record a line",
        ),
        (
            b'{\n"data": [' + b'{"a":1},' * 200 + b'{"a":1}]}',
            "a.json: the file is one object of more than max_line; give the array in it alone",
        ),
    ],
)
def test_an_object_that_is_not_a_list_of_records_says_why(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "a.json").write_bytes(data)

    with pytest.raises(DataError) as error:
        jsonarray.rows(tmp_path / "a.json", "a.json", 1024)

    assert str(error.value) == message


def test_a_compressed_array_that_was_cut_says_how_far_it_went(tmp_path: Path) -> None:
    packed = gzip.compress(b"[" + b",".join(b'{"n":%d}' % n for n in range(50_000)) + b"]", 0)

    found = said(tmp_path / "a.json.gz", packed[:-70_000])

    assert re.fullmatch(
        r"a\.json\.gz: record \d+: the compressed file ends too early, after \d+ whole records; get it again", found
    )


def test_a_record_beyond_the_limit_is_counted_and_the_next_one_is_read(tmp_path: Path) -> None:
    long, after = read(tmp_path / "a.json", b'[ {"text":"' + b"x" * 3_000_000 + b'"} , {"b":1}]', max_line=1024)

    assert isinstance(long[1], TooLong)
    assert (long[1].size, after) == (3_000_012, (2, b'{"b":1}'))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(alphabet='あ:"\\{}[], \n', max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b]", '"']), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=80, derandomize=True, deadline=None)
@given(st.lists(JSON, max_size=5), st.sampled_from([None, 2]), st.integers(1, 7), st.booleans())
def test_the_records_are_those_of_a_parser_whatever_the_pieces(
    value: list[object], indent: int | None, size: int, ascii: bool
) -> None:
    data = json.dumps(value, indent=indent, ensure_ascii=ascii).encode()

    class Dribble(io.BytesIO):
        def read(self, wanted: int | None = -1) -> bytes:
            return super().read(size)

    found = list(jsonarray._cut(Dribble(data), 1 << 20, lambda: "here"))

    assert [parse(each) if isinstance(each, bytes) else each for each in found] == value == orjson.loads(data)
