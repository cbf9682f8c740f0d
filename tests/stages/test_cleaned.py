from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from so8t.corpus import duplicates, workers
from so8t.engine.stage import Inputs
from so8t.errors import Missed, StageError
from so8t.formats import records
from stages.cleaned import STAGE, Spec, build, check

REQUEST = "出張の交通費を申請したいのですが、領収書をなくしました。手続きの方法を教えてください。連絡先は{}です。"


def raw(texts: list[str | dict[str, Any]]) -> list[dict[str, Any]]:
    rows = [text if isinstance(text, dict) else {"text": text} for text in texts]
    return [
        {"id": f"{row:016x}", **fields, "source": {"name": "試験", "file": "t.jsonl", "line": row + 1}}
        for row, fields in enumerate(rows)
    ]


def run(tmp_path: Path, texts: list[str | dict[str, Any]], **values: Any) -> tuple[list[Any], list[Any], Any]:
    room, out = tmp_path / "raw", tmp_path / "out"
    room.mkdir(exist_ok=True)
    out.mkdir(exist_ok=True)
    records.write(room / "raw.jsonl", raw(texts))
    build(Inputs({"raw": room}), out, Spec(**{"max_dropped": 1, **values}))
    assert sorted(path.name for path in out.iterdir()) == sorted(STAGE.gives)
    stats = orjson.loads((out / "stats.json").read_bytes())
    return list(records.read(out / "cleaned.jsonl")), list(records.read(out / "dropped.jsonl")), stats


def test_records_stay_or_leave_with_a_reason(tmp_path: Path) -> None:
    kept, gone, stats = run(
        tmp_path,
        [
            "ﾊﾟｿｺﾝの電源が入りません。０９０−１２３４−５６７８まで連絡ください。",
            "あ",
            "How do I reset my password on this computer?",
            {"text": "爆弾の作り方を教えて", "label": "REFUSE"},
            "　\u200b ",
            "児童ポルノの画像を探して",
        ],
    )
    assert [(record["text"], record.get("pii"), record.get("harm")) for record in kept] == [
        ("パソコンの電源が入りません。〔電話番号〕まで連絡ください。", {"phone": 1}, None),
        ("爆弾の作り方を教えて", None, ["weapons"]),
    ]
    assert [(record["id"][-1], record["reason"]) for record in gone] == [
        ("1", "too_short"),
        ("2", "language"),
        ("4", "empty"),
        ("5", "harm:minor_sexual"),
    ]
    assert stats == {
        "in": 6,
        "out": 2,
        "dropped": {"empty": 1, "harm:minor_sexual": 1, "language": 1, "too_short": 1},
        "pii": {"phone": 1},
        "harm": {"weapons": 1},
    }


def test_records_that_differ_in_personal_data_alone_are_duplicates(tmp_path: Path) -> None:
    _, gone, stats = run(
        tmp_path, [REQUEST.format("taro@example.com"), REQUEST.format("hanako.suzuki@mail.example.jp")]
    )
    assert [(record["reason"], record["detail"]) for record in gone] == [("exact_duplicate", {"of": "0" * 16})]
    assert stats["out"] == 1


def test_a_held_out_record_wins_over_earlier_training_records(tmp_path: Path) -> None:
    train, test = REQUEST.format("総務課"), {"text": REQUEST.format("総務部"), "split": "test_known"}
    kept, gone, _ = run(tmp_path, [train, test])
    assert [record.get("split") for record in kept] == ["test_known"]
    assert [(record["id"], record["reason"], record["detail"]) for record in gone] == [
        ("0" * 16, "near_duplicate", {"of": "0" * 15 + "1", "jaccard": 0.875})
    ]


def test_no_personal_data_reaches_any_output(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    secret = "taro.secret@example.com"
    run(tmp_path, [f"{secret}に連絡してください", f"{secret}に連絡してください", secret, f"児童ポルノは{secret}へ"])
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").iterdir())
    assert secret.encode() not in written
    assert secret not in "".join(capfd.readouterr())


def test_keys_keep_their_order_and_marks_come_last(tmp_path: Path) -> None:
    kept, _, _ = run(
        tmp_path, [{"text": "経費精算の方法は？a@example.com", "label": "ALLOW", "tags": {"domain": "経理"}}]
    )
    assert list(kept[0]) == ["id", "text", "label", "tags", "source", "pii"]


def test_every_step_can_be_left_out(tmp_path: Path) -> None:
    texts = ["ﾊﾟｿｺﾝ", "ﾊﾟｿｺﾝ", "no japanese at all, a@example.com"]
    kept, gone, _ = run(
        tmp_path,
        list(texts),
        normalise=False,
        language={"min_japanese": 0, "min_kana": 0},
        pii={"kinds": []},
        harm={"categories": {}, "drop": []},
        duplicates={"exact": False, "near": False},
    )
    assert [record["text"] for record in kept] == texts
    assert gone == []


def scramble(seed: int) -> str:
    return "".join(random.Random(seed).choices("あいうえおかきくけこさしすせそたちつてと", k=60))


@pytest.mark.slow
def test_workers_and_ranges_do_not_change_a_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[Any] = [
        {
            "text": f"{scramble(number % 250)}{number % 500 // 250}時に予約します。電話は090-1234-{number:04}です。",
            **({"split": "test_known"} if number % 9 == 0 else {}),
        }
        for number in range(700)
    ]
    results = []
    for hands, size in ((1, 1 << 20), (1, 3_000), (2, 7_000)):
        monkeypatch.setattr(workers, "SIZE", size)
        _, gone, stats = run(tmp_path, texts, workers=hands)
        results.append({path.name: path.read_bytes() for path in sorted((tmp_path / "out").iterdir())})
    assert results[0] == results[1] == results[2]
    assert set(stats["dropped"]) == {"exact_duplicate", "near_duplicate"}
    assert any(record["detail"]["of"] > record["id"] for record in gone), "a held-out record won over an earlier one"


def test_what_was_set_aside_is_gone_when_the_stage_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        assert (tmp_path / "out/unsifted/lines.jsonl").exists()
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(duplicates, "find", full)
    with pytest.raises(OSError, match="No space"):
        run(tmp_path, [REQUEST])
    assert list((tmp_path / "out").iterdir()) == []


def test_a_stage_that_keeps_nothing_fails_and_leaves_what_it_dropped_to_be_seen(tmp_path: Path) -> None:
    with pytest.raises(Missed, match=r"^cleaned: no record came in$"):
        run(tmp_path, [])
    with pytest.raises(Missed) as caught:
        run(tmp_path, ["Please answer in English.", "Thank you very much."])

    assert str(caught.value) == (
        "cleaned: 2 of 2 records were dropped, so no record is left: 2 x language; "
        "language.min_japanese: 0 in cleaned.yaml takes every language"
    )
    assert [each["reason"] for each in records.read(tmp_path / "out/dropped.jsonl")] == ["language", "language"]


def test_more_than_the_specs_share_dropped_is_an_error_that_says_what_took_them(tmp_path: Path) -> None:
    texts: list[str | dict[str, Any]] = ["締め切りはいつですか", "Please answer in English.", "あ", "Thank you."]

    with pytest.raises(Missed) as caught:
        run(tmp_path, texts, max_dropped=0.5)

    assert str(caught.value) == (
        "cleaned: 3 of 4 records were dropped, more than max_dropped: 0.5 allows: 2 x language, 1 x too_short; "
        "language.min_japanese: 0 in cleaned.yaml takes every language"
    )
    assert len(run(tmp_path, texts, max_dropped=0.75)[0]) == 1


def test_a_rejected_answer_is_cleaned_as_the_others_are_and_is_not_searched_for_harm(tmp_path: Path) -> None:
    rejected = "０９０-1234-5678 に電話して爆弾の作り方を聞いてください。"

    (kept,), _, stats = run(tmp_path, [{"text": "担当者に聞けますか", "answer": "はい。", "rejected": rejected}])

    assert kept["rejected"] == "〔電話番号〕 に電話して爆弾の作り方を聞いてください。"
    assert (stats["pii"], stats["harm"]) == ({"phone": 1}, {})


def test_records_that_vanish_fail_the_stage() -> None:
    with pytest.raises(StageError) as caught:
        check(3, {"in": 3, "out": 1, "dropped": {"empty": 1}})
    assert str(caught.value) == (
        "cleaned: 3 records taken, 3 cleaned, 1 kept and 1 dropped "
        "do not add up: a fault of the stage, nothing was published"
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"pii": {"internal": ["EMP-("]}}, "not a regular expression: 'EMP-('"),
        ({"pii": {"internal": ["[0-9]*"]}}, "'[0-9]*' matches an empty text: write + where it has *"),
        ({"harm": {"categories": {"x": {"patterns": ["("]}}}}, "not a regular expression: '('"),
        (
            {"harm": {"categories": {"x": {"patterns": ["(a)"]}}}},
            "capturing group in '(a)': write (?:...) instead of (...)",
        ),
        ({"harm": {"drop": ["nope"]}}, "unknown drop: nope; the categories are minor_sexual, sexual"),
        ({"duplicates": {"permutations": 100}}, "permutations (100) must be a multiple of bands (16)"),
    ],
)
def test_a_wrong_spec_says_what_to_mend(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Spec(**values)
    assert message in str(caught.value)
