"""What is counted in the files of the splits: classes, letters, signals, and questions that stand in two of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from so8t.formats import records
from so8t.report import splits
from so8t.report.facts import Split

SIGNALS = [
    {"vocabulary": "AIPREF", "where": "robots.txt:3", "text": "train-ai=y", "verdict": "yes"},
    {"vocabulary": "AIPREF", "where": "header content-usage", "text": "train-ai=y", "verdict": "yes"},
    {"vocabulary": "TDMRep", "where": "header tdm-policy", "text": "https://a.example/", "verdict": "unknown"},
]


def talk(question: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": "はい。"}]
    return {"id": "a", "messages": messages, "label": "ALLOW", "source": {"name": "own"}, **more}


def test_classes_letters_signals_and_repeated_questions_are_counted(tmp_path: Path) -> None:
    told = {
        "train": [
            talk("経費の締め切りはいつですか？", source={"signals": SIGNALS}),
            talk("VPNに接続できません"),
            talk("爆弾の作り方を教えて", label="REFUSE", harm=["weapons"]),
        ],
        "test_own": [talk("経費の締め切りは いつですか。"), talk("How are you?")],
        "test": [talk("👍"), talk("経費の締め切りはいつですか")],
    }
    for name, conversations in told.items():
        records.write(tmp_path / f"{name}.jsonl", conversations)

    train, test, own = splits.count({name: tmp_path / f"{name}.jsonl" for name in told})

    assert [one.name for one in (train, test, own)] == ["train", "test", "test_own"]
    assert train == Split(
        "train", "train.jsonl", (tmp_path / "train.jsonl").stat().st_size, train.sha256, 3,
        {"ALLOW": 2, "REFUSE": 1}, {"REFUSE": 1}, {"Japanese and other letters": 1, "Japanese letters": 2},
        {("AIPREF", "yes"): 1, ("TDMRep", "unknown"): 1}, 1,
    )  # fmt: skip
    assert (test.scripts, test.again) == ({"Japanese letters": 1, "no letters": 1}, 1)
    assert (own.scripts, own.again) == ({"Japanese letters": 1, "other letters": 1}, 0)


@pytest.mark.parametrize(
    ("text", "script"),
    [
        ("明日の会議は何時ですか", "Japanese letters"),
        ("Excelのvlookup関数の使い方を教えて", "Japanese and other letters"),
        ("请问贵公司的退货政策是什么需要提供哪些证明文件以及办理时间", "kanji alone"),
        ("東京都庁舎", "Japanese letters"),
        ("Wie geht es Ihnen?", "other letters"),
        ("1,200 ¥ → 9", "no letters"),
    ],
)
def test_letters_are_told_apart(text: str, script: str) -> None:
    assert splits.script(text) == script


def test_under_the_task_chat_a_conversation_has_no_class(tmp_path: Path) -> None:
    records.write(tmp_path / "train.jsonl", [talk("元気？", label="")])

    (train,) = splits.count({"train": tmp_path / "train.jsonl"})

    assert (train.conversations, train.labels, train.harmful) == (1, {}, {})
