"""The file of refusals: a line a URL, in order; what `raw` leaves out by it is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from so8t.errors import DataError
from so8t.web import refusals
from so8t.web.refusals import Refusal

A = Refusal("https://a.jp/1", "2026-11-28", ("robots.txt:4: disallow: /1",))
B = Refusal("https://b.jp/表", "2026-11-29", ("header TDM-Reservation: 1",))
FILE = (
    '{"url":"https://a.jp/1","on":"2026-11-28","said":["robots.txt:4: disallow: /1"]}\n'
    '{"url":"https://b.jp/表","on":"2026-11-29","said":["header TDM-Reservation: 1"]}\n'
)


def test_the_file_is_in_the_order_of_its_urls_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "refusals.jsonl"
    path.write_bytes(refusals.encode({B.url: B, A.url: A}))

    assert path.read_text("utf-8") == FILE
    assert refusals.read(path) == {A.url: A, B.url: B}


def test_a_url_alone_and_blank_lines_will_do(tmp_path: Path) -> None:
    path = tmp_path / "refusals.jsonl"
    path.write_text('\n{"url": "https://a.jp/1"}\r\n\n', "utf-8")

    assert refusals.read(path) == {A.url: Refusal(A.url, "", ())}


def test_a_no_stays_as_it_was_first_said() -> None:
    later = Refusal(A.url, "2026-12-24", ("status: 451",))

    assert refusals.merged({A.url: A}, [later, B]) == {A.url: A, B.url: B}


@pytest.mark.parametrize(
    "line", ['{"link": "https://a.jp"}', "https://a.jp", '{"url": 3}', '["https://a.jp"]', '{"url":"a","said":"b"}']
)
def test_another_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "refusals.jsonl"
    path.write_text("\n" + line, "utf-8")

    with pytest.raises(DataError) as error:
        refusals.read(path)
    assert str(error.value) == (
        "refusals.jsonl:2: is not a refusal; a line is "
        '{"url": "https://...", "on": "2026-11-28", "said": ["robots.txt:4: disallow: /x"]}'
    )
