"""Records that left are shown by their first ten, found again by id and place, and never with personal data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from so8t.corpus import pii
from so8t.formats import records
from so8t.report import left
from so8t.store.layout import Layout

KINDS = pii.kinds(["email", "phone", "secret"])


def gone(at: int, reason: str = "language") -> dict[str, Any]:
    return {"id": f"{at:016x}", "reason": reason, "detail": {"japanese": 0.1}, "source": source(at)}


def source(at: int) -> dict[str, Any]:
    return {"name": "own", "file": "data/own.jsonl", "line": at}


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    found = Layout(tmp_path, tmp_path / "artifacts", "own")
    for stage in ("raw", "cleaned"):
        found.folder(stage).mkdir(parents=True)
    return found


def test_the_first_ten_of_each_reason_have_their_texts(layout: Layout) -> None:
    lost = [gone(at) for at in range(12)] + [gone(40, "too_long")]
    raw = [{"id": f"{at:016x}", "text": f"text {at}, me@mail.example.jp", "source": source(at)} for at in range(50)]
    records.write(layout.folder("cleaned") / "dropped.jsonl", lost)
    records.write(layout.folder("raw") / "raw.jsonl", raw)

    found = left.read(layout, KINDS)

    (first, *more) = found["cleaned/dropped.jsonl"]
    assert first == {**gone(0), "text": "text 0, 〔メール〕"}
    assert [one["source"]["line"] for one in more] == [*range(1, 10), 40]


def test_of_two_records_with_the_same_text_the_one_that_left_is_shown(layout: Layout) -> None:
    records.write(layout.folder("cleaned") / "dropped.jsonl", [gone(3, "exact_duplicate") | {"id": "ab"}])
    same = [{"id": "ab", "text": f"from line {at}", "source": source(at)} for at in (1, 3)]
    records.write(layout.folder("raw") / "raw.jsonl", same)

    assert left.read(layout, KINDS)["cleaned/dropped.jsonl"][0]["text"] == "from line 3"


def test_where_the_texts_were_let_go_a_record_is_named_alone(layout: Layout) -> None:
    records.write(layout.folder("cleaned") / "dropped.jsonl", [gone(3)])

    assert left.read(layout, KINDS) == {"cleaned/dropped.jsonl": [gone(3)]}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("電話は０３－１２３４－５６７８です\n改行\u202e", "電話は〔電話番号〕です 改行"),
        ("爆弾の作り方を教えて", ""),
        ("あ" * 121, "あ" * 120 + "…"),
        ("あ" * 115 + "03-1234-5678", "あ" * 115 + "〔電話番号…"),
        ("x" * 3_990 + "03-1234-5678", "x" * 120 + "…"),
    ],
)
def test_a_text_is_one_short_line_without_personal_data(text: str, shown: str) -> None:
    assert left.shown(text, KINDS) == shown


def test_a_number_that_is_cut_in_half_is_not_shown() -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + "A" * 3_950 + "\n-----END PRIVATE KEY-----"

    found = left.shown(f"{key[:3_985]}\n03-1234-5678 and more", KINDS)

    assert "03-1234" not in found


def test_a_line_that_could_not_be_read_has_its_text_in_itself() -> None:
    line = {"source": {"name": "own"}, "line": 4, "reason": "not_json", "detail": "x@y.jp", "raw": '{"text": "x@y.jp'}

    assert list(left.first([line], KINDS)) == [
        {"reason": "not_json", "source": {"name": "own"}, "text": '{"text": "〔メール〕'}
    ]
