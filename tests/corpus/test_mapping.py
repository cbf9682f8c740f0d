"""Their record -> ours: fields by path, conversations, labels, constants, and what makes a record unusable."""

from typing import Any

import pytest

from so8t.corpus.files import LocalFiles
from so8t.corpus.mapping import content, identify
from so8t.corpus.rows import Defect

THINKING = {"task": "締め切りを答える", "safety": "危険はない", "policy": "方針1に従う"}


def source(**values: Any) -> LocalFiles:
    return LocalFiles(name="faq", paths=["x"], terms="t", trust="low", **values)


def taken(record: Any, **values: Any) -> dict[str, Any]:
    return content(source(**values))(record)


def test_without_a_mapping_fields_of_our_names_are_taken_in_our_order() -> None:
    record = {
        "tags": {"pattern": "p1", "level": 3, "urgent": True, "none": None, "domain": "経理"},
        "label": "ALLOW",
        "split": "test_known",
        "thinking": dict(reversed(THINKING.items())),
        "answer": "月末です。",
        "history": [{"role": "user", "content": "もしもし"}, {"role": "assistant", "content": "はい"}],
        "reason": "社内手続き",
        "unknown": "left out",
        "system": "あなたは社内窓口です。",
        "text": "締め切りはいつですか？👩‍💻",
    }

    assert list(taken(record).items()) == [
        ("text", "締め切りはいつですか？👩‍💻"),
        ("system", "あなたは社内窓口です。"),
        ("history", [{"role": "user", "content": "もしもし"}, {"role": "assistant", "content": "はい"}]),
        ("label", "ALLOW"),
        ("reason", "社内手続き"),
        ("answer", "月末です。"),
        ("thinking", THINKING),
        ("split", "test_known"),
        ("tags", {"domain": "経理", "level": "3", "pattern": "p1", "urgent": "true"}),
    ]
    assert list(taken(record)["thinking"]) == ["task", "safety", "policy"]
    assert list(taken(record)["tags"]) == ["domain", "level", "pattern", "urgent"]


def test_with_a_mapping_only_what_it_names_is_taken() -> None:
    record = {"data": {"turns": [{"q": "質問"}], "kind": "経理"}, "label": "their own word", "id": 7}

    found = taken(record, fields={"text": "data.turns.0.q", "tags": {"domain": "data.kind", "gone": "data.x.y"}})

    assert found == {"text": "質問", "tags": {"domain": "経理"}}


def test_null_and_empty_optional_fields_are_absent() -> None:
    record = {"text": "a", "label": "", "reason": None, "answer": "", "history": [], "tags": {}, "thinking": None}

    assert taken(record) == {"text": "a"}


def test_constants_stand_over_the_record() -> None:
    constants = {"label": "DENY", "system": "窓口", "tags": {"domain": "人事", "from": "us"}}
    record = {"text": "a", "label": "not even a label", "tags": {"domain": "経理", "zone": "1"}}

    assert taken(record, constants=constants, split="held_out") == {
        "text": "a",
        "system": "窓口",
        "label": "DENY",
        "split": "held_out",
        "tags": {"domain": "人事", "from": "us", "zone": "1"},
    }


@pytest.mark.parametrize(("theirs", "ours"), [("有害", "REFUSE"), (0, "ALLOW"), (True, "DENY"), (None, None)])
def test_their_labels_are_translated(theirs: Any, ours: str | None) -> None:
    found = taken({"text": "a", "label": theirs}, labels={"有害": "REFUSE", "0": "ALLOW", "true": "DENY"})

    assert found.get("label") == ours


def turn(role: str, text: str) -> dict[str, str]:
    return {"role": role, "content": text}


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        ([turn("user", "問")], {"text": "問"}),
        ([turn("user", "問"), turn("assistant", "答")], {"text": "問", "answer": "答"}),
        (
            [{"from": "system", "value": "窓口"}, {"from": "human", "value": "問"}, {"from": "gpt", "value": "答"}],
            {"text": "問", "system": "窓口", "answer": "答"},
        ),
        (
            [turn("user", "一"), turn("assistant", "二"), turn("user", "三"), turn("model", "四")],
            {"text": "三", "history": [turn("user", "一"), turn("assistant", "二")], "answer": "四"},
        ),
        (
            [turn("assistant", "ご用件は"), turn("user", "問")],
            {"text": "問", "history": [turn("assistant", "ご用件は")]},
        ),
    ],
)
def test_a_conversation_is_divided_at_its_last_user_turn(turns: list[Any], expected: dict[str, Any]) -> None:
    assert taken({"conversations": turns}, fields={"messages": "conversations"}) == expected


@pytest.mark.parametrize(
    ("turns", "reason", "detail"),
    [
        (None, "no text", "no text: m is missing"),
        ("問", "wrong type", "m is a string, not a list of turns"),
        ([], "no text", "no text: m has no user turn"),
        ([turn("assistant", "答")], "no text", "no text: m has no user turn"),
        (["問"], "wrong type", "m.0 is a string, not a turn of role and content"),
        ([turn("user", " \u3000")], "bad conversation", "m.0 is empty"),
        ([turn("user", "a"), {"role": "assistant"}], "wrong type", "m.1.content is null, not a string"),
        ([turn("user", "a"), turn("system", "b")], "bad conversation", "m has a system turn after its first turn"),
        (
            [turn("user", "a"), turn("assistant", "b"), turn("assistant", "c")],
            "bad conversation",
            "m has 2 replies to its last user turn",
        ),
        (
            [turn("narrator", "a")],
            "bad conversation",
            "m.0 has the role 'narrator'; known are system, developer, user, human, prompter, assistant, gpt, chatgpt, "
            "model, bot",
        ),
    ],
)
def test_a_conversation_that_cannot_be_divided_says_why(turns: Any, reason: str, detail: str) -> None:
    with pytest.raises(Defect) as defect:
        taken({"m": turns}, fields={"messages": "m"})

    assert (defect.value.reason, defect.value.detail) == (reason, detail)


@pytest.mark.parametrize(
    ("record", "reason", "detail"),
    [
        ([], "not an object", "the record is an array, not an object"),
        ("text", "not an object", "the record is a string, not an object"),
        (None, "not an object", "the record is null, not an object"),
        (1.5, "not an object", "the record is a number, not an object"),
        ({}, "no text", "no text: text is missing"),
        ({"text": None}, "no text", "no text: text is missing"),
        ({"text": ""}, "no text", "no text: text is empty"),
        ({"text": "\u3000\n "}, "no text", "no text: text is empty"),
        ({"text": 1}, "wrong type", "text is a number, not a string"),
        ({"text": ["a"]}, "wrong type", "text is an array, not a string"),
        ({"text": True}, "wrong type", "text is a boolean, not a string"),
        ({"text": "a", "label": 1}, "wrong type", "label is a number, not a string"),
        ({"text": "a", "label": ["ALLOW"]}, "wrong type", "label is an array, not a string"),
        (
            {"text": "a", "label": "allow"},
            "unknown label",
            "label is 'allow'; known are ALLOW, ESCALATION, DENY, REFUSE",
        ),
        ({"text": "a", "reason": {}}, "wrong type", "reason is an object, not a string"),
        ({"text": "a", "history": "b"}, "wrong type", "history is a string, not a list of turns"),
        (
            {"text": "a", "history": [turn("system", "b")]},
            "bad conversation",
            "history.0 has the role 'system'; known are system, developer, user, human, prompter, assistant, gpt, "
            "chatgpt, model, bot",
        ),
        ({"text": "a", "thinking": "b"}, "wrong type", "thinking is a string, not an object"),
        ({"text": "a", "thinking": {"task": "b"}}, "bad thinking", "thinking must hold exactly task, safety, policy"),
        ({"text": "a", "thinking": {**THINKING, "task": " "}}, "bad thinking", "thinking.task is empty"),
        (
            {"text": "a", "thinking": {**THINKING, "policy": 1}},
            "wrong type",
            "thinking.policy is a number, not a string",
        ),
        (
            {"text": "a", "split": "../../etc"},
            "bad split",
            "split is '../../etc'; use a-z, 0-9 and _, at most 40, a letter first",
        ),
        ({"text": "a", "tags": ["b"]}, "wrong type", "tags is an array, not an object"),
        ({"text": "a", "tags": {"b": 1.5}}, "wrong type", "tags.b is a number, not a string"),
    ],
)
def test_an_unusable_record_says_why(record: Any, reason: str, detail: str) -> None:
    with pytest.raises(Defect) as defect:
        taken(record)

    assert (defect.value.reason, defect.value.detail) == (reason, detail)


def test_an_id_is_of_the_content_alone() -> None:
    record = {"text": "締め切りはいつですか", "tags": {"b": "1", "a": "2"}, "label": "ALLOW"}
    again = {"label": "ALLOW", "tags": {"a": "2", "b": "1"}, "text": "締め切りはいつですか", "split": "test_known"}

    assert identify(taken(record)) == identify(taken(again)) == "4f06f2bfc776a4a8"
    assert identify(taken({**record, "label": "DENY"})) != identify(taken(record))


def test_a_text_that_utf8_cannot_hold_gets_no_id() -> None:
    with pytest.raises(Defect, match="a text that UTF-8 cannot hold"):
        identify({"text": "\ud800"})
