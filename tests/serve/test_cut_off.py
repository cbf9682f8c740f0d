"""An output that the most tokens end in its midst: what could leave by then, and how each endpoint calls it."""

from __future__ import annotations

from pathlib import Path

import pytest

from so8t.formats.thinking import HEADINGS, TAGS, ThinkingFormat
from so8t.serve.scripted import Scripted
from tests.serve.served import SECRET, output, says, served, sse

pytestmark = pytest.mark.slow

ANSWER = "締め切りは月末です。"


def cut(text: str) -> Scripted:
    return Scripted(says(text, 5), cuts=True)


def length(text: str, before: str) -> int:
    """In tokens, which are bytes here, up to where a text stands."""
    return len(text[: text.index(before)].encode())


def test_in_the_thinking_v1_ends_by_length_with_nothing_and_think_has_a_problem(tmp_path: Path) -> None:
    with served(tmp_path / "audit", cut(output())) as here:
        reply, whole = here.chat(max_tokens=3), here.think(max_tokens=3)

        choice = reply.json()["choices"][0]
        records = here.records()
        assert (reply.status_code, choice["message"]["content"], choice["finish_reason"]) == (200, "", "length")
        assert reply.json()["so8t"] == {"audit_id": records[0]["id"]}
        assert (whole.status_code, whole.json()["type"]) == (502, "urn:so8t:problem:cut-off")
        assert whole.json()["detail"] == "The most tokens were reached before the answer began: raise max_tokens."
        assert [(each["outcome"], each["class"], each["answer_characters"]) for each in records] == [
            ("length", None, 0),
            ("length", None, 0),
        ]


def test_a_stream_that_is_cut_in_the_thinking_says_so_in_its_own_way(tmp_path: Path) -> None:
    with served(tmp_path / "audit", cut(output())) as here:
        chunks = [data for _, data in sse(here.chat(max_tokens=40, stream=True).iter_lines())]
        events = sse(here.think(max_tokens=40, stream=True).iter_lines())

    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks[:-1]] == [None, "length"]
    assert "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks[:-1]) == ""
    assert [(name, data["type"]) for name, data in events] == [("problem", "urn:so8t:problem:cut-off")]
    assert SECRET not in str(chunks) + str(events)


@pytest.mark.parametrize("fmt", [TAGS, HEADINGS], ids=["tags", "headings"])
def test_in_an_allow_answer_what_a_stream_would_have_sent_is_sent(tmp_path: Path, fmt: ThinkingFormat) -> None:
    most = length(output(fmt=fmt), "月末です")
    with served(tmp_path / "audit", cut(output(fmt=fmt)), fmt=fmt) as here:
        reply, whole = here.chat(max_tokens=most).json(), here.think(max_tokens=most).json()
        events = sse(here.think(max_tokens=most, stream=True).iter_lines())

        assert (reply["choices"][0]["message"]["content"], reply["choices"][0]["finish_reason"]) == (
            "締め切りは",
            "length",
        )
        assert (whole["class"], whole["answer"], whole["finish_reason"]) == ("ALLOW", "締め切りは", "length")
        assert (events[-1][1]["answer"], events[-1][1]["finish_reason"]) == ("締め切りは", "length")
        assert "".join(data["text"] for name, data in events if name == "delta") == "締め切りは"
        assert [each["outcome"] for each in here.records()] == ["length"] * 3


@pytest.mark.parametrize("more", [1, 2])
def test_half_a_character_is_no_broken_output(tmp_path: Path, more: int) -> None:
    with served(tmp_path / "audit", cut(output())) as here:
        reply = here.chat(max_tokens=length(output(), "月末です") + more).json()

    assert reply["choices"][0]["message"]["content"] == "締め切りは"


def test_what_may_be_the_beginning_of_a_tag_is_kept_back(tmp_path: Path) -> None:
    text = output(f"はい<think-task>{SECRET}")
    with served(tmp_path / "audit", cut(output("はい、それは<").replace("<</final>", "<thi"))) as here:
        reply = here.chat(max_tokens=len(text)).json()

    assert reply["choices"][0]["message"]["content"] in ("はい、それは", "")
    assert "<thi" not in str(reply)


@pytest.mark.parametrize("label", ["ESCALATION", "DENY", "REFUSE"])
def test_of_another_class_nothing_leaves_for_its_rest_might_contradict_it(tmp_path: Path, label: str) -> None:
    text = output("お教えできません。", label)
    with served(tmp_path / "audit", cut(text)) as here:
        reply = here.chat(max_tokens=length(text, "できません")).json()
        record = here.records()[0]

    assert (reply["choices"][0]["message"]["content"], reply["choices"][0]["finish_reason"]) == ("", "length")
    assert (record["outcome"], record["class"], record["answer_characters"]) == ("length", label, 0)


def test_an_answer_that_is_whole_at_the_last_token_is_not_cut(tmp_path: Path) -> None:
    with served(tmp_path / "audit", cut(output() + " ")) as here:
        reply = here.chat(max_tokens=len(output().encode())).json()

    assert (reply["choices"][0]["message"]["content"], reply["choices"][0]["finish_reason"]) == (ANSWER, "stop")
