"""Formats in which people publish conversations: records as they are published, and what becomes of them."""

from typing import Any

import pytest

from so8t.corpus.files import LocalFiles
from so8t.corpus.formats import decide
from so8t.corpus.mapping import content
from so8t.corpus.rows import Defect
from so8t.errors import DataError


def source(**values: Any) -> LocalFiles:
    return LocalFiles(name="faq", paths=["x"], terms="t", trust="low", **values)


def taken(*records: dict[str, Any], **values: Any) -> tuple[list[dict[str, Any]], str]:
    declared = source(**values)
    found = decide(declared, records)
    convert = content(declared.model_copy(update={"fields": found.fields, "format": None}))
    return [convert(record) for record in records], found.said


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


ASKED = "東京の天気は？☔"
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "東京"}'}}
TOOLS = [
    {"role": "system", "content": "天気係です。"},
    user(ASKED),
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "雨、１２度"},
    assistant("雨です。"),
    user("傘は要りますか？"),
    assistant("はい。"),
]


@pytest.mark.parametrize(
    ("record", "ours", "said"),
    [
        (
            {"instruction": "次を要約してください。", "input": "会議は九時からです。", "output": "会議は九時。"},
            {"text": "次を要約してください。\n\n会議は九時からです。", "answer": "会議は九時。"},
            "alpaca: its records have instruction and output; text = '{instruction}\\n\\n{input}', answer = output",
        ),
        (
            {
                "instruction": "挨拶してください。",
                "input": "",
                "output": "こんにちは！",
                "text": "### Instruction: ...",
            },
            {"text": "挨拶してください。", "answer": "こんにちは！"},
            "alpaca: its records have instruction and output; text = '{instruction}\\n\\n{input}', answer = output",
        ),
        (
            {"instruction": "続けて。", "input": None, "output": "はい", "system": "係", "history": [["一", "二"]]},
            {"text": "続けて。", "system": "係", "history": [user("一"), assistant("二")], "answer": "はい"},
            "alpaca: its records have instruction and output; text = '{instruction}\\n\\n{input}', answer = output, "
            "and system and history",
        ),
        (
            {"instruction": "いつ？", "context": "締切は月末。", "response": "月末です。", "category": "closed_qa"},
            {"text": "いつ？\n\n締切は月末。", "answer": "月末です。"},
            "alpaca: its records have instruction and response; "
            "text = '{instruction}\\n\\n{context}', answer = response",
        ),
        (
            {"id": "QWJhYvA_0", "conversations": [{"from": "human", "value": "問"}, {"from": "gpt", "value": "答"}]},
            {"text": "問", "answer": "答"},
            "sharegpt: its records have conversations; messages = conversations",
        ),
        (
            {"messages": [{"role": "developer", "content": "係"}, user("一"), assistant("二"), user("三")]},
            {"text": "三", "system": "係", "history": [user("一"), assistant("二")]},
            "openai: its records have messages; messages = messages",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "見て"}, {"type": "text", "text": "る"}]}
                ]
            },
            {"text": "見て\nる"},
            "openai: its records have messages; messages = messages",
        ),
        (
            {"messages": [user("悪事"), {"role": "assistant", "content": None, "refusal": "お手伝いできません。"}]},
            {"text": "悪事", "answer": "お手伝いできません。"},
            "openai: its records have messages; messages = messages",
        ),
        (
            {"prompt": "続きは？", "completion": "はい", "label": "ALLOW"},
            {"text": "続きは？", "label": "ALLOW", "answer": "はい"},
            "prompt_completion: its records have prompt and completion; text = prompt, answer = completion, and label",
        ),
        (
            {"prompt": "続きは？", "completion": "はい", "label": "true"},
            {"text": "続きは？", "answer": "はい"},
            "prompt_completion: its records have prompt and completion; text = prompt, answer = completion",
        ),
        (
            {"prompt": [user("一")], "completion": [assistant("二")]},
            {"text": "一", "answer": "二"},
            "prompt_completion: its records have prompt and completion; text = prompt, answer = completion",
        ),
        (
            {"質問": "締切は？", "回答": "月末"},
            {"text": "締切は？", "answer": "月末"},
            "prompt_completion: its records have 質問 and 回答; text = 質問, answer = 回答",
        ),
        (
            {"ID": "ichikara-instruction-003-001-1", "text": "仕事とは？", "output": "役に立つことです。"},
            {"text": "仕事とは？", "answer": "役に立つことです。"},
            "prompt_completion: its records have text and output; text = text, answer = output",
        ),
        (
            {"prompt": "問", "chosen": "良い答え", "rejected": "悪い答え"},
            {"text": "問", "answer": "良い答え", "rejected": "悪い答え"},
            "preference: its records have prompt, chosen and rejected; text = prompt, answer = chosen, "
            "rejected = rejected",
        ),
        (
            {
                "prompt": "問",
                "chosen": [user("問"), assistant("良い")],
                "rejected": [user("問"), assistant("悪い")],
                "messages": [user("問"), assistant("良い")],
            },
            {"text": "問", "answer": "良い", "rejected": "悪い"},
            "preference: its records have prompt, chosen and rejected; text = prompt, answer = chosen, "
            "rejected = rejected",
        ),
        (
            {"chosen": [user("一"), assistant("二")], "rejected": [user("一"), assistant("三")]},
            {"text": "一", "answer": "二", "rejected": "三"},
            "preference: its records have chosen and rejected; messages = chosen, rejected = rejected",
        ),
        (
            {
                "chosen": "\n\nHuman: 一\n\n二行目\n\nAssistant: 二\n\nHuman: 三\n\nAssistant: 良い",
                "rejected": "\n\nHuman: 一\n\n二行目\n\nAssistant: 二\n\nHuman: 三\n\nAssistant: 悪い",
            },
            {"text": "三", "history": [user("一\n\n二行目"), assistant("二")], "answer": "良い", "rejected": "悪い"},
            "preference: its records have chosen and rejected; messages = chosen, rejected = rejected",
        ),
        ({"text": "a", "answer": "b", "label": "DENY"}, {"text": "a", "label": "DENY", "answer": "b"}, ""),
    ],
)
def test_a_published_record_is_recognised_by_its_keys(record: dict[str, Any], ours: dict[str, Any], said: str) -> None:
    assert taken(record) == ([ours], said)


def test_the_spec_may_name_the_format_or_write_a_template_of_its_own() -> None:
    record = {"instruction": "訳して。", "input": "cat", "output": "猫", "prompt": "別", "completion": "の列"}

    assert taken(record, format="prompt_completion") == (
        [{"text": "別", "answer": "の列"}],
        "prompt_completion: the spec says so; text = prompt, answer = completion",
    )
    template = "{instruction}\n\n### 入力\n{input}\n\n以上"
    assert taken(record, fields={"text": template, "answer": "output"}) == (
        [{"text": "訳して。\n\n### 入力\ncat\n\n以上", "answer": "猫"}],
        "",
    )
    assert taken({**record, "input": " "}, fields={"text": template})[0] == [{"text": "訳して。\n\n以上"}]


def test_keys_that_no_format_has_are_an_error_that_shows_the_way() -> None:
    with pytest.raises(DataError) as error:
        taken({"件名": "締切", "本文": "いつですか", "返信": "月末です"})
    assert str(error.value) == (
        "source faq: its records are in no format that is known; their keys are 件名, 本文, 返信; "
        "say which of them are ours, such as fields: {text: 件名, answer: 返信}"
    )

    with pytest.raises(DataError) as error:
        taken({"prompt": "a", "completion": "b"}, format="alpaca")
    assert str(error.value) == (
        "source faq: its records do not have the keys of format: alpaca; their keys are prompt, completion; "
        "say which of them are ours, such as fields: {text: prompt, answer: completion}"
    )


def test_turns_of_tools_are_put_aside_left_out_or_kept_as_text() -> None:
    record = {"messages": TOOLS}

    with pytest.raises(Defect) as defect:
        taken(record)
    assert (defect.value.reason, defect.value.detail) == (
        "tool turn",
        "messages.2 is a call of a tool; tools: flatten leaves such turns out, tools: keep takes them",
    )
    end = {"text": "傘は要りますか？", "system": "天気係です。", "answer": "はい。"}
    assert taken(record, tools="flatten")[0] == [{**end, "history": [user(ASKED), assistant("雨です。")]}]
    assert taken(record, tools="keep")[0] == [
        {
            **end,
            "history": [
                user(ASKED),
                assistant('<tool_call>\n{"name":"weather","arguments":{"city":"東京"}}\n</tool_call>'),
                user("<tool_response>\n雨、１２度\n</tool_response>"),
                assistant("雨です。"),
            ],
        }
    ]


def test_sharegpt_writes_calls_and_results_as_turns_of_their_own() -> None:
    turns = [
        {"from": "human", "value": ASKED},
        {"from": "function_call", "value": '{"name": "weather", "arguments": {"city": "東京"}}'},
        {"from": "observation", "value": "雨"},
        {"from": "chatgpt", "value": "雨です。"},
    ]

    assert taken({"conversations": turns}, tools="flatten")[0] == [{"text": ASKED, "answer": "雨です。"}]
    (kept,), _ = taken({"conversations": turns}, tools="keep")
    assert [turn["role"] for turn in kept["history"]] == ["user", "assistant"]
    assert (kept["text"], kept["answer"]) == ("<tool_response>\n雨\n</tool_response>", "雨です。")


def test_what_was_said_beside_a_call_stays() -> None:
    turns = [user(ASKED), {**assistant("調べます。"), "tool_calls": [CALL]}, {"role": "tool", "content": "雨"}]
    turns += [assistant("雨です。")]

    assert taken({"messages": turns}, tools="flatten")[0] == [{"text": ASKED, "answer": "調べます。\n\n雨です。"}]


@pytest.mark.parametrize(
    ("turn", "detail"),
    [
        (
            {"role": "user", "content": [{"type": "text", "text": "これは？"}, {"type": "image_url", "image_url": {}}]},
            "messages.0.content.1 is a part of type 'image_url', not text",
        ),
        ({"role": "assistant", "content": None}, "messages.0.content is null, not a string"),
        ({"role": "user", "content": []}, "messages.0 is empty"),
    ],
)
def test_a_turn_that_is_not_text_says_why(turn: dict[str, Any], detail: str) -> None:
    with pytest.raises(Defect) as defect:
        taken({"messages": [turn]})

    assert defect.value.detail == detail
