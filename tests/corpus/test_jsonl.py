"""The line reader for files from outside: what counts as a line, and what is wrong with a bad one."""

import base64
import gzip
import json
from hashlib import blake2b
from pathlib import Path

import orjson
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.corpus.jsonl import Line, TooLong, lines, parse, raw
from so8t.corpus.rows import Defect
from so8t.errors import DataError


def read(path: Path, data: bytes, max_line: int = 1 << 20) -> list[tuple[int, bytes | TooLong]]:
    path.write_bytes(data)
    return [tuple(line) for line in lines(path, path.name, max_line)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"1", [(1, b"1")]),
        (b"1\n2\n", [(1, b"1"), (2, b"2")]),
        (b"1\r\n2\r\n", [(1, b"1"), (2, b"2")]),
        (b"\xef\xbb\xbf1\n\xef\xbb\xbf2", [(1, b"1"), (2, b"\xef\xbb\xbf2")]),
        (b"\xef\xbb\xbf\r\n \t\n\n1", [(1, b""), (2, b""), (3, b""), (4, b"1")]),
        ('"a\u2028b\u0085c"\n'.encode(), [(1, '"a\u2028b\u0085c"'.encode())]),
    ],
)
def test_lines_end_at_line_feeds_only(tmp_path: Path, data: bytes, expected: list[tuple[int, bytes]]) -> None:
    assert read(tmp_path / "x.jsonl", data) == expected


def test_a_line_at_the_limit_is_read_and_one_beyond_is_measured(tmp_path: Path) -> None:
    beyond = b"y" * 11

    assert read(tmp_path / "x.jsonl", b"x" * 10 + b"\n" + beyond + b"\nz", max_line=10) == [
        (1, b"x" * 10),
        (2, TooLong(11, blake2b(beyond, digest_size=32).hexdigest())),
        (3, b"z"),
    ]


COMPRESS = {".gz": lambda data: gzip.compress(data, mtime=0), ".zst": zstandard.compress}
BODY = b"".join(b'{"text":"%d"}\n' % number for number in range(50_000))


@pytest.mark.parametrize("suffix", COMPRESS)
def test_a_compressed_file_reads_as_its_content_also_in_several_parts(tmp_path: Path, suffix: str) -> None:
    half = len(BODY) // 2
    packed = COMPRESS[suffix](BODY[:half]) + COMPRESS[suffix](BODY[half:])

    found = read(tmp_path / f"x.jsonl{suffix}", packed)

    assert found == [(number + 1, line) for number, line in enumerate(BODY.splitlines())]


@pytest.mark.parametrize("suffix", COMPRESS)
@pytest.mark.parametrize("kept", [0.0, 0.1, 0.5, 0.99])
def test_a_truncated_compressed_file_is_an_error_after_its_whole_lines(
    tmp_path: Path, suffix: str, kept: float
) -> None:
    path, packed = tmp_path / f"x.jsonl{suffix}", COMPRESS[suffix](BODY)
    path.write_bytes(packed[: int(len(packed) * kept)])
    whole = []

    with pytest.raises(DataError) as error:
        for line in lines(path, "corpus/x", 1 << 20):
            whole.append(line)

    assert str(error.value) == (
        f"corpus/x:{len(whole) + 1}: the compressed file ends too early, after {len(whole)} whole lines; get it again"
    )
    assert whole == [Line(number + 1, line) for number, line in enumerate(BODY.splitlines()[: len(whole)])]


def test_even_the_last_byte_of_a_compressed_file_is_missed(tmp_path: Path) -> None:
    for suffix, compress in COMPRESS.items():
        with pytest.raises(DataError, match=r"ends too early"):
            read(tmp_path / f"x{suffix}", compress(BODY)[:-1])


@pytest.mark.parametrize(
    ("suffix", "message"),
    [
        (".gz", "x:1: cannot decompress: Not a gzipped file (b'{\"'); get the file again"),
        (
            ".zst",
            "x:1: cannot decompress: zstd decompressor error: Unknown frame descriptor; get the file again",
        ),
    ],
)
def test_a_plain_file_under_a_compressed_name_is_an_error(tmp_path: Path, suffix: str, message: str) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(BODY)

    with pytest.raises(DataError) as error:
        list(lines(path, "x", 1 << 20))

    assert str(error.value) == message


def test_a_flipped_byte_in_a_gz_is_found_by_its_checksum(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(BODY, 0))
    packed[1000] ^= 1

    with pytest.raises(DataError, match=r"x\.gz:\d+: cannot decompress: CRC check failed"):
        read(tmp_path / "x.gz", bytes(packed))


@pytest.mark.parametrize(
    ("data", "reason", "detail"),
    [
        (b'{"text":"\xff"}', "invalid UTF-8", "invalid UTF-8 at byte 10 (0xff)"),
        ('{"text":"申請"}'.encode("cp932"), "invalid UTF-8", "invalid UTF-8 at byte 10 (0x90)"),
        (b'"\xed\xa0\x80"', "invalid UTF-8", "invalid UTF-8 at byte 2 (0xed)"),
        (b'"\xc0\xaf"', "invalid UTF-8", "invalid UTF-8 at byte 2 (0xc0)"),
        (b'{"a":"\\ud800"}', "lone surrogate", "a lone surrogate in the text at character 7"),
        (b'{"a":"\\udc00\\ud800"}', "lone surrogate", "a lone surrogate in the text at character 7"),
        ('{"あ":NaN}'.encode(), "NaN or Infinity", "NaN or Infinity at character 6, which JSON does not have"),
        (b'{"a":Infinity}', "NaN or Infinity", "NaN or Infinity at character 6, which JSON does not have"),
        (b'{"a":-Infinity}', "NaN or Infinity", "NaN or Infinity at character 7, which JSON does not have"),
        (b'{"a":1e999}', "number too large", "a number too large at character 6"),
        (b'{"a":' + b"9" * 5000 + b"}", "number too large", "a number too large at character 6"),
        (b'{"a":1,"b":2,"a":1}', "duplicate key", "key 'a' appears twice"),
        (b'{"x":[{"a":"1:2","b":{"c":1,"c":2}}]}', "duplicate key", "key 'c' appears twice"),
        (b'{"a":1,"\\u0061":2}', "duplicate key", "key 'a' appears twice"),
        (b'{"a":"\\u003a","a":1}', "duplicate key", "key 'a' appears twice"),
        (b"[" * 255 + b"]" * 255, "nested too deep", "nested deeper than 254 levels"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deep", "nested deeper than 254 levels"),
        (b'{"text":"a"', "not JSON", "not JSON: unexpected end of data at character 12"),
        (b'{"text":"a"} x', "not JSON", "not JSON: unexpected content after document at character 14"),
        (b"{'text':1}", "not JSON", "not JSON: unexpected character, expected a string key at character 2"),
        (b"\x00\x00", "not JSON", "not JSON: unexpected character, expected a JSON value at character 1"),
        (TooLong(67_108_864, "00"), "line too long", "a line of 67,108,864 bytes is longer than max_line"),
    ],
)
def test_a_bad_line_is_named_by_reason_and_place(data: bytes | TooLong, reason: str, detail: str) -> None:
    with pytest.raises(Defect) as defect:
        parse(data)

    assert (defect.value.reason, defect.value.detail) == (reason, detail)


def test_good_lines_are_not_suspected() -> None:
    for data in (
        b'{"a":"\\u003a\\u003A","b":{"a":"x:y"}}',
        '{"時刻": "10:30〜11:00", "絵": "👩‍👩‍👧\\ud83d\\ude00"}'.encode(),
        b'[{"a":1},{"a":1}]',
        b'{"a" : "\\": \\\\" , "b" : 1.50e3}',
        b"[" * 254 + b"]" * 254,
    ):
        assert parse(data) == json.loads(data)


def test_a_detail_never_grows_with_the_line() -> None:
    with pytest.raises(Defect) as defect:
        parse(b'{"%b":1,"%b":2}' % (b"k" * 100_000, b"k" * 100_000))

    assert len(defect.value.detail) == 301


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(alphabet='あ:"\\{}, \n', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(st.tuples(st.sampled_from(["a", "b:", '"']), inner), max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=400, derandomize=True, deadline=None)
@given(JSON, st.sampled_from([(",", ":"), (", ", ": "), (" ,", " : ")]), st.booleans())
def test_a_duplicate_key_is_found_exactly_when_there_is_one(value: object, marks: tuple[str, str], ascii: bool) -> None:
    """Objects are drawn as lists of pairs, so that keys may repeat at any depth."""
    comma, colon = marks

    def text(value: object) -> tuple[str, bool]:
        if not isinstance(value, list):
            return json.dumps(value, ensure_ascii=ascii), False
        if value and all(isinstance(pair, tuple) for pair in value):
            inner = [(json.dumps(key), *text(item)) for key, item in value]
            twice = len({key for key, _ in value}) < len(value) or any(repeated for *_, repeated in inner)
            return "{" + comma.join(key + colon + item for key, item, _ in inner) + "}", twice
        parts = [text(item) for item in value]
        return "[" + comma.join(part for part, _ in parts) + "]", any(repeated for _, repeated in parts)

    written, repeated = text(value)
    try:
        assert parse(written.encode()) == json.loads(written)
        found = False
    except Defect as defect:
        found = defect.reason == "duplicate key"

    assert found == repeated


@settings(max_examples=200, derandomize=True, deadline=None)
@given(st.binary(max_size=60))
def test_what_is_kept_aside_holds_every_byte(data: bytes) -> None:
    kept = orjson.loads(orjson.dumps(raw(data)))

    if "raw" in kept:
        assert kept["raw"].encode("utf-8") == data
    else:
        assert base64.b64decode(kept["raw_base64"]) == data
