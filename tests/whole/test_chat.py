"""Conversations as they are, through the real graph: 300 records to a trained adapter, and to all that stands on it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from so8t.formats import declared, records
from so8t.formats import thinking as think
from so8t.formats.thinking import Plain
from tests.whole.pico_models import MODELS, Chain

HOBBIES = (
    *(
        "登山",
        "釣り",
        "園芸",
        "料理",
        "写真",
        "将棋",
        "囲碁",
        "茶道",
        "書道",
        "水泳",
        "読書",
        "陶芸",
        "天文",
        "旅行",
        "手芸",
    ),
    *("合唱", "太鼓", "弓道", "剣道", "俳句"),
)
ASKS = ("の始め方は？", "に要る道具は？", "の楽しさは？", "で気を付けることは？", "の費用は？")
PLACES = ("東京で", "大阪で", "札幌で")


def conversations(count: int = 300) -> Iterator[dict[str, Any]]:
    """Every third thinks, every fourth has two turns, every fifth a system message of its own; none has a label."""
    for at in range(count):
        hobby, ask = HOBBIES[at % len(HOBBIES)], ASKS[at // len(HOBBIES) % len(ASKS)]
        question = f"{PLACES[at // (len(HOBBIES) * len(ASKS)) % len(PLACES)]}{hobby}{ask}"
        thought = f"<think>\n{hobby}を調べる。\n</think>\n\n" if at % 3 == 0 else ""
        turns = [
            {"role": "user", "content": question},
            {"role": "assistant", "content": f"{thought}{hobby}は近くの Open 教室 で始められます。"},
        ]
        if at % 4 == 0:
            turns = [
                {"role": "user", "content": f"{hobby}に興味があります{at}。"},
                {"role": "assistant", "content": f"<think>\n{hobby}の話だ。\n</think>\n\n{hobby}はよい趣味です。"},
                *turns,
            ]
        if at % 5 == 0:
            turns.insert(0, {"role": "system", "content": "短く答える。"})
        yield {"messages": turns}


def specs(**thinking_sft: Any) -> dict[str, Any]:
    evaluation = {**MODELS["evaluation"], "patterns": {"教室": "教室"}, "grammar": {"conversations": 2, "text": 20}}
    return {
        "profile": {"task": "chat"},
        "raw": {
            "sources": [
                {
                    "name": "talks",
                    "paths": ["pico.jsonl"],
                    "terms": "test",
                    "trust": "high",
                    "fields": {"messages": "messages"},
                }
            ]
        },
        "cleaned": {"duplicates": {"threshold": 1.0}, "length": {"min_chars": 2}},
        "labelled": {},
        "thinking_sft": {
            "format": "think",
            "learn": "every",
            "fractions": {"validation": 0.05, "test": 0.05},
            "near_duplicate_threshold": None,
            **thinking_sft,
        },
        "evaluation": evaluation,
    }


def project(folder: Path, root: Path, **thinking_sft: Any) -> Chain:
    chain = Chain(folder, root, {})
    lines = [json.dumps(one, ensure_ascii=False) for one in conversations()]
    (folder / "pico.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    chain.write(specs(**thinking_sft))
    return chain


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Chain:
    """As far as thinking_sft."""
    chain = project(tmp_path_factory.mktemp("chat") / "p", root)
    assert set(chain.build().values()) == {"built"}
    return chain


def test_three_hundred_conversations_need_no_label(data: Chain) -> None:
    labelled, sft = data.folder("labelled"), data.folder("thinking_sft")

    assert (labelled / "labelled.jsonl").read_bytes() == (data.folder("cleaned") / "cleaned.jsonl").read_bytes()
    assert json.loads((labelled / "agreement.json").read_bytes()) == {
        "task": "chat",
        "records": {"in": 300, "out": 300, "quarantined": 0},
    }
    stats = json.loads((sft / "stats.json").read_bytes())
    assert (stats["in"], stats["out"], stats["dropped"], stats["by_label"]) == (300, 300, {}, {})
    given = declared.load(sft)
    assert (given["system"], given["direct"], given["thinking"]["name"]) == ("", True, "think")
    talks = list(records.read(sft / "thinking_sft.jsonl"))
    assert sum(talk.get("direct") == "only" for talk in talks) == 200  # they bring no thinking
    assert sum("learn" in talk for talk in talks) == 75  # those with an earlier answer that thinks
    for talk in talks:
        assert isinstance(think.read(talk["messages"][-1]["content"], think.THINK), Plain)


def test_the_task_enters_the_keys_of_the_stages_that_read_it(data: Chain, root: Path) -> None:
    rows = data.plan().rows

    assert [name for name, row in rows.items() if "profile.task" in row.spec] == ["labelled", "thinking_sft"]
    data.write(
        {
            "thinking_sft": {**specs()["thinking_sft"], "learn": "last"},
            "evaluation": {**specs()["evaluation"], "patterns": {"a": "b"}},
        }
    )
    changed = [name for name, row in data.plan().rows.items() if row.spec != rows[name].spec]
    data.write(specs())
    assert changed == ["thinking_sft", "evaluation"]


@pytest.mark.soak
def test_the_whole_graph_of_a_chat_profile(tmp_path: Path, root: Path) -> None:
    chain = project(tmp_path / "p", root)

    said = chain.doit()

    assert said.code == 0, said.err
    assert "labelled: 300 records passed on as they are: the task chat gives no labels" in said.err
    scores = json.loads((chain.folder("evaluation") / "scores.json").read_bytes())["splits"]["test"]
    assert set(scores) == {"base", "f16", "q8_0"}
    for name in ("records", "loss", "perplexity", "format_valid", "exact", "matches 教室", "leaks"):
        assert name in scores["f16"], name
    trained = json.loads((chain.folder("adapter_scores") / "scores.json").read_bytes())["test"]["adapter"]
    assert abs(scores["f16"]["loss"] - trained["loss"]) < 0.01  # llama.cpp and PyTorch read the same answers
    assert scores["f16"]["grammar"] == {"records": 2, "format_valid": 1.0}
    template = (chain.folder("modelfile") / "ollama" / "Modelfile.f16").read_text("utf-8")
    assert "<think>" in template and "{{ .Thinking }}" in template
    report = (chain.folder("report") / "report.html").read_text("utf-8")
    assert "perplexity" in report and "right class" not in report
    assert "perplexity: " in said.out + said.err
    runs = chain.doit("runs")
    assert runs.code == 0 and "perplexity " in runs.out
