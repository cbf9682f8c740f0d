"""No flagged text is learned as help, whichever way it came; and each way would let it through without the check.

What a teacher writes is in tests/corpus/test_sft.py and tests/stages/test_thinking_sft.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from so8t.corpus import harm
from so8t.engine.stage import Inputs
from so8t.errors import StageError
from so8t.formats import records
from stages import cleaned, labelled, preference, thinking_sft

PATTERNS = harm.Table(harm.DEFAULT)
FLAGGED = "詐欺の手口を教えます。まず相手を信じさせます。"
PLAIN = {
    "text": "投資の話を聞かせてください。",
    "label": "ALLOW",
    "reason": "一般的な質問",
    "answer": "窓口が承ります。",
}
PAGE = {"name": "pages", "url": "https://example.jp/1", "trust": "low", "terms": "CC0", "record": 1}
THOUGHT = {"task": "質問に答える。", "safety": FLAGGED, "policy": "答える。"}
WAYS: dict[str, dict[str, Any]] = {
    "the source's answer": {"answer": FLAGGED},
    "the source's reason": {"reason": FLAGGED},
    "the source's thinking": {"thinking": THOUGHT},
    "the source's system text": {"system": FLAGGED},
    "an earlier turn": {"history": [{"role": "user", "content": "はい"}, {"role": "assistant", "content": FLAGGED}]},
    "a tag that a policy text names": {"tags": {"domain": FLAGGED}},
    "a page of the web": {"text": FLAGGED, "source": PAGE},
    "the better answer of a pair": {"answer": FLAGGED, "rejected": "存じません。"},
}


def learned(folder: Path, task: str, change: dict[str, Any], **of_harm: Any) -> list[records.Record]:
    """What training gets of one such record and a plain one."""
    source = {"name": "own", "file": "own.jsonl", "line": 1, "trust": "high"}
    both = enumerate([change, {"text": "休みの日は？"}])
    lines = [{"id": f"{number:016x}", "source": source, **PLAIN, **one} for number, one in both]
    rooms = {name: folder / name for name in ("raw", "cleaned", "labelled", "thinking_sft")}
    for room in rooms.values():
        room.mkdir(parents=True)
    records.write(rooms["raw"] / "raw.jsonl", lines)
    reads = {
        "profile.task": task,
        "cleaned.harm.categories": of_harm.get("categories", harm.DEFAULT),
        "cleaned.harm.suspect": of_harm.get("suspect"),
    }
    inputs = Inputs(rooms, scratch=folder / "scratch", reads=reads)
    cleaned.build(inputs, rooms["cleaned"], cleaned.Spec.model_validate({"harm": of_harm, "max_dropped": 1}))
    labelled.build(inputs, rooms["labelled"], labelled.Spec())
    thinking_sft.build(inputs, rooms["thinking_sft"], thinking_sft.Spec(max_dropped=1))
    return list(records.read(rooms["thinking_sft"] / "thinking_sft.jsonl"))


def helping(found: list[records.Record]) -> Iterator[str]:
    """Everything in a conversation that helps, but for what is asked there; under chat, which has no class, each."""
    for one in found:
        if one.get("label", "ALLOW") == "ALLOW":
            yield from (turn["content"] for turn in one["messages"])


def is_flagged(found: list[records.Record]) -> bool:
    return bool(PATTERNS.categories(helping(found)))


@pytest.mark.parametrize("way", WAYS)
def test_under_four_classes_no_flagged_text_stands_in_what_helps(tmp_path: Path, way: str) -> None:
    assert not is_flagged(learned(tmp_path / "checked", "four_class", WAYS[way]))
    assert is_flagged(learned(tmp_path / "unchecked", "four_class", WAYS[way], categories={}, drop=()))


@pytest.mark.parametrize(
    "way", ["the source's answer", "the source's system text", "an earlier turn", "a page of the web"]
)
def test_under_chat_a_flagged_conversation_is_not_learned(tmp_path: Path, way: str) -> None:
    assert not is_flagged(learned(tmp_path / "checked", "chat", WAYS[way]))
    assert is_flagged(learned(tmp_path / "unchecked", "chat", WAYS[way], categories={}, drop=()))


def test_a_harmful_request_is_named_and_not_answered(tmp_path: Path) -> None:
    asked = {"text": "詐欺の手口を教えて", "answer": "まず相手を信じさせます。", "source": PAGE}

    (found, _) = learned(tmp_path, "four_class", asked)

    assert (found["label"], found["harm"], found["made_from"]) == ("REFUSE", ["fraud"], "policy")
    assert "まず相手を信じさせます。" not in found["text"]
    assert "有害な行為に関わるため、お手伝いできません。" in found["text"]


def test_no_pair_prefers_a_flagged_answer(tmp_path: Path) -> None:
    change = {**WAYS["the better answer of a pair"], "split": "train"}
    spec = preference.Spec(on=True, pairs="given")

    def pairs(name: str, **of_harm: Any) -> list[records.Record]:
        learned(tmp_path / name, "four_class", change, **of_harm)
        return preference._pairs(Inputs({"thinking_sft": tmp_path / name / "thinking_sft"}), spec, None)

    with pytest.raises(StageError, match="no record brings a rejected answer"):
        pairs("checked")
    (unchecked,) = pairs("unchecked", categories={}, drop=())
    assert FLAGGED in unchecked["chosen"]


def test_what_is_suspected_goes_to_a_person_and_loses_its_answer(tmp_path: Path) -> None:
    asked = {"text": "銀行の客の口座を盗みたい", "answer": "こうします。"}

    (before, _), (after, _) = (learned(tmp_path / str(one), "four_class", asked, suspect=one) for one in (None, 0.8))

    assert (before["label"], "harm" in before) == ("ALLOW", False)
    assert (after["label"], after["harm"]) == ("ESCALATION", ["suspected"])
    assert "こうします。" not in after["text"]
    assert "有害な内容の疑いがあるため、担当者が確認します。" in after["text"]
