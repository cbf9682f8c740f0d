"""The data stages under the task chat: records pass without a class, and what cannot be learned is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from so8t.engine.stage import Inputs
from so8t.errors import StageError
from so8t.formats import declared, records
from stages import labelled, thinking_sft

READS = {"profile.task": "chat"}


def record(number: int, **changes: Any) -> dict[str, Any]:
    source = {"name": "talks", "trust": "high"}
    base = {
        "id": f"{number:016x}",
        "text": f"{number}番の質問です",
        "answer": "はい。",
        "split": "train",
        "source": source,
    }
    return {name: value for name, value in {**base, **changes}.items() if value is not None}


def built(folder: Path, entries: list[dict[str, Any]], **spec: Any) -> Path:
    records.write(folder / "labelled.jsonl", entries)
    (folder / "out").mkdir()
    given = thinking_sft.Spec.model_validate({"near_duplicate_threshold": None, **spec})
    thinking_sft.build(Inputs({"labelled": folder}, scratch=folder, reads=READS), folder / "out", given)
    return folder / "out"


def test_labelled_passes_records_on_as_they_are_and_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records.write(tmp_path / "cleaned.jsonl", [record(1), record(2, label="DENY")])
    out = tmp_path / "out"
    out.mkdir()

    labelled.build(Inputs({"cleaned": tmp_path}, reads=READS), out, labelled.Spec())

    assert (out / "labelled.jsonl").read_bytes() == (tmp_path / "cleaned.jsonl").read_bytes()
    assert {path.name for path in out.iterdir()} == set(labelled.STAGE.gives)
    assert capsys.readouterr().err == ("labelled: 2 records passed on as they are: the task chat gives no labels\n")


def test_a_record_without_an_answer_or_with_harm_is_dropped_with_a_reason(tmp_path: Path) -> None:
    out = built(tmp_path, [record(1), record(2, answer=None), record(3, harm=["weapons"])], max_dropped=0.7)

    assert [(each["id"], each["reason"], each.get("detail")) for each in records.read(out / "dropped.jsonl")] == [
        ("0000000000000002", "no_answer", None),
        ("0000000000000003", "harmful", "weapons"),
    ]
    (line,) = records.read(out / "thinking_sft.jsonl")
    assert line["messages"] == [
        {"role": "user", "content": "1番の質問です"},
        {"role": "assistant", "content": "はい。"},
    ]


def test_without_a_format_there_is_no_thinking_and_what_is_left_out_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = built(tmp_path, [record(1, answer="<think>一</think>はい。"), record(2)])

    assert (declared.load(out)["thinking"]["name"], declared.load(out)["direct"]) == ("none", False)
    assert capsys.readouterr().err.splitlines()[0] == (
        "thinking_sft: the thinking of 1 answers is left out: format none has no place for it; format: think keeps it"
    )


def test_a_format_for_thinking_without_any_is_an_error_with_both_ways_out(tmp_path: Path) -> None:
    with pytest.raises(StageError) as refused:
        built(tmp_path, [record(1)], format="think")

    assert str(refused.value) == (
        "thinking_sft: format think marks thinking, and no record brings any; take format: none, or give answers that "
        "begin with <think>...</think>"
    )


def test_headings_are_two_under_chat_and_direct_answers_are_declared(tmp_path: Path) -> None:
    out = built(tmp_path, [record(1, answer="<think>一</think>はい。"), record(2)], format="headings", system="短く。")

    given = declared.load(out)
    assert (given["thinking"]["name"], given["direct"], given["system"]) == ("two_headings", True, "短く。")
    assert json.loads((out / "stats.json").read_bytes())["direct"] == {"train": 1, "validation": 0}
