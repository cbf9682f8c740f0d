from __future__ import annotations

import io
from pathlib import Path

import pytest

from so8t.stream.ranges import Range, cut

TEXTS = {
    "empty": b"",
    "one line": b"a\n",
    "no last newline": b"a\nbb\nccc",
    "only newlines": b"\n\n\n\n",
    "carriage returns": b"a\r\nb\rb\r\n\r\nc",
    "one huge line": b"x" * 200_000 + b"\ny\n",
    "several bytes a letter": "日本語\n東京都\n𠮷野家\n".encode(),
    "other line ends of Unicode": "a\u2028b\x0bc\x85d\n".encode(),
}


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1 << 16, 1 << 20])
@pytest.mark.parametrize("name", TEXTS)
def test_ranges_hold_every_line_once_whole_and_in_order(name: str, size: int, tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(TEXTS[name])

    ranges = list(cut(path, size))

    assert [line for each in ranges for line in each.lines()] == list(io.BytesIO(TEXTS[name]))
    assert all(each.end - each.start >= size for each in ranges[:-1])


def test_a_range_ends_behind_the_newline_at_or_after_its_size(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    path.write_bytes(b"123\n567\n9")

    assert list(cut(path, 4)) == [Range(path, 0, 4), Range(path, 4, 8), Range(path, 8, 9)]
    assert list(cut(path, 5)) == [Range(path, 0, 8), Range(path, 8, 9)]
    assert list(cut(path, 100)) == [Range(path, 0, 9)]
