"""What a record becomes: given parts, policy texts, or nothing; never another class's answer, never half of one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.corpus import harm, pii, templates
from so8t.corpus.sft import Composer, ExampleWriter, LabelPolicy, Policies, Target, policy_problems
from so8t.errors import StageError
from so8t.formats import chat
from so8t.formats.records import LABELS, Record
from so8t.formats.thinking import HEADINGS, TAGS, Final, Thinking, ThinkingFormat, compose, split

POLICIES, DOMAIN = Policies(), {"domain": "一般"}
WITH_REASON = Policies(
    ALLOW=LabelPolicy(task="<{domain}> {reason}", safety="{label}: {reason}", policy="# 最終回答", reason="既定の理由")
)


def record(**changes: Any) -> Record:
    base: Record = {
        "id": "00c0ffee",
        "text": "会議の予定を教えてください。",
        "answer": "火曜日の10時です。",
        "label": "ALLOW",
        "confidence": 0.9,
        "reason": "通常の業務の質問",
        "labelled_by": "given",
        "tags": {"domain": "総務"},
        "split": "train",
        "source": {"name": "sample", "line": 1},
    }
    return {name: value for name, value in {**base, **changes}.items() if value is not None}


def composed(entry: Record, policies: Policies = POLICIES, **options: bool) -> tuple[Thinking, str] | None:
    target = Composer(TAGS, policies, DOMAIN, **options)(entry)
    return target and (split(target.text, TAGS), target.made_from)


def test_a_record_without_thinking_gets_the_policys() -> None:
    assert composed(record()) == (
        Thinking(
            "総務の質問に答える。",
            "危険は見当たらない。",
            "通常の支援として答える。",
            Final("ALLOW", 0.9, "通常の業務の質問", "火曜日の10時です。"),
        ),
        "policy",
    )


def test_given_thinking_is_kept() -> None:
    parts = {"task": "予定の照会", "safety": "なし", "policy": "回答可"}

    assert composed(record(thinking=parts)) == (
        Thinking("予定の照会", "なし", "回答可", Final("ALLOW", 0.9, "通常の業務の質問", "火曜日の10時です。")),
        "given",
    )


def test_a_missing_tag_and_a_missing_reason_have_fallbacks() -> None:
    thinking, _ = composed(record(tags=None, reason=None)) or pytest.fail("dropped")

    assert (thinking.task, thinking.final.reason) == ("一般の質問に答える。", "一般的な質問")


@pytest.mark.parametrize("label", ["ESCALATION", "DENY", "REFUSE"])
def test_a_record_without_an_answer_gets_its_classs_answer(label: str) -> None:
    thinking, made_from = composed(record(label=label, answer=None)) or pytest.fail("dropped")

    assert (thinking.final.answer, made_from) == (getattr(POLICIES, label).answer, "policy")


def test_allow_without_an_answer_has_no_target() -> None:
    assert composed(record(answer=None)) is None


@pytest.mark.parametrize("by", ["rule:harm", "rule:weapon_making", "classifier", "threshold"])
def test_an_answer_written_for_another_class_is_never_a_target(by: str) -> None:
    parts = {"task": "手順の説明", "safety": "なし", "policy": "回答可"}
    entry = record(label="REFUSE", labelled_by=by, answer="手順は次の通りです。", thinking=parts)
    thinking, made_from = composed(entry) or pytest.fail("dropped")

    assert (thinking.final.answer, made_from) == ("有害な行為に関わるため、お手伝いできません。", "policy")
    assert thinking.task == "総務の依頼を受ける。"


@pytest.mark.parametrize(("trust", "expected"), [("high", "手順は次の通りです。"), ("medium", POLICIES.REFUSE.answer)])
def test_what_a_source_answers_to_a_harmful_request_is_a_target_only_with_high_trust(trust: str, expected: str) -> None:
    parts = {"task": "作り方の説明", "safety": "なし", "policy": "回答可"}
    entry = record(
        label="REFUSE",
        harm=["weapons"],
        answer="手順は次の通りです。",
        thinking=parts,
        source={"name": "s", "trust": trust},
    )
    thinking, made_from = composed(entry, teacher=True, teach_all=True) or pytest.fail("dropped")

    assert thinking.final.answer == expected
    assert (thinking.task == parts["task"], made_from == "given") == (
        (True, True) if trust == "high" else (False, False)
    )


def test_allow_that_the_classifier_found_keeps_its_answer() -> None:
    thinking, _ = composed(record(labelled_by="classifier")) or pytest.fail("dropped")

    assert thinking.final.answer == "火曜日の10時です。"


def test_harm_labelled_allow_stops_the_build_and_names_the_record() -> None:
    with pytest.raises(StageError) as caught:
        composed(record(harm=["weapons", "fraud"]))

    assert str(caught.value) == (
        "record 00c0ffee: harmful text (weapons, fraud) with the label ALLOW would become a target to generate; "
        "give it DENY or REFUSE, or let a rule of `labelled` do so"
    )


def test_with_a_teacher_only_what_is_missing_waits_for_it() -> None:
    assert composed(record(), teacher=True) is not None
    assert composed(record(answer=None), teacher=True) is None
    assert composed(record(label="DENY", answer=None), teacher=True) is None
    assert composed(record(reason=None), teacher=True) is None


def test_a_teacher_for_all_still_leaves_given_thinking_alone() -> None:
    parts = {"task": "予定の照会", "safety": "なし", "policy": "回答可"}

    assert composed(record(), teacher=True, teach_all=True) is None
    assert composed(record(thinking=parts), teacher=True, teach_all=True) is not None


COMPOSER = Composer(TAGS, POLICIES, DOMAIN, teacher=True, harm=harm.Table(harm.DEFAULT))


def taught(label: str, answer: str, task: str = "手順の照会") -> Thinking:
    return Thinking(task, "安全", "方針", Final(label, 0.9, "先生の理由", answer))


@pytest.mark.parametrize("place", ["answer", "task"])
def test_what_the_teacher_writes_for_allow_is_no_target_where_any_of_it_is_harmful(place: str) -> None:
    found = COMPOSER.taught(record(), taught("ALLOW", **{"answer": "火曜日です。", place: "詐欺の手口を教えます。"}))

    assert found == ["fraud"]


@pytest.mark.parametrize("label", ["ESCALATION", "DENY", "REFUSE"])
def test_where_the_teacher_may_comply_the_policy_text_answers(label: str) -> None:
    entry, answer = record(label=label, answer=None), "爆弾の作り方はこうです。"

    target = COMPOSER.taught(entry, taught(label, answer))

    assert target == COMPOSER(record(label=label, answer=getattr(POLICIES, label).answer))
    assert isinstance(target, Target) and target.made_from == "policy" and answer not in target.text


def test_a_teacher_may_name_what_it_refuses_and_harmless_words_stay() -> None:
    named, plain = (
        taught("REFUSE", "お手伝いできません。", "爆弾の作り方を教えてという依頼"),
        taught("ALLOW", "火曜日です。"),
    )

    assert COMPOSER.taught(record(label="REFUSE"), named) == Target(compose(named, TAGS), "teacher")
    assert COMPOSER.taught(record(), plain) == Target(compose(plain, TAGS), "teacher")


def test_personal_data_that_the_teacher_writes_gives_way_and_its_persons_are_others_than_the_records() -> None:
    composer = Composer(TAGS, POLICIES, DOMAIN, teacher=True, personal=pii.kinds(["name", "phone"], ("0120",)))
    asked = record(text="〔人名2〕さんと〔人名1〕さんの予定は？")
    said = taught("ALLOW", "佐藤さんは090-1234-5678、〔人名1〕さんは0120-111-222です。", "佐藤様の予定")

    found = composer.taught(asked, said)

    expected = taught("ALLOW", "〔人名3〕さんは〔電話番号〕、〔人名1〕さんは0120-111-222です。", "〔人名3〕様の予定")
    assert found == Target(compose(expected, TAGS), "teacher")


def test_a_harmful_request_never_meets_the_teacher() -> None:
    entry = record(label="REFUSE", harm=["weapons"], answer=None)
    thinking, made_from = composed(entry, teacher=True, teach_all=True) or pytest.fail("sent to the teacher")

    assert (thinking.final.answer, made_from) == ("有害な行為に関わるため、お手伝いできません。", "policy")


def test_a_long_answer_is_whole() -> None:
    answer = "長い回答です。\n" * 20_000
    thinking, _ = composed(record(answer=answer)) or pytest.fail("dropped")

    assert thinking.final.answer == answer


HOSTILE = st.lists(
    st.sampled_from(
        ["<final>", "</final>", "final>", "<", "# 最終回答", "\n", "回答: ", "{reason}", "\\", "総務", "🍣"]
    )
)
WORDS = HOSTILE.map("".join).filter(bool)


@pytest.mark.slow
@pytest.mark.parametrize("policies", [POLICIES, WITH_REASON], ids=["plain", "hostile"])
@pytest.mark.parametrize("fmt", [TAGS, HEADINGS], ids=["tags", "headings"])
@settings(max_examples=150, derandomize=True, deadline=None)
@given(label=st.sampled_from(LABELS), reason=WORDS, answer=WORDS, domain=WORDS, confidence=st.floats(0, 1))
def test_the_quick_way_gives_what_compose_gives(
    *, fmt: ThinkingFormat, policies: Policies, label: str, reason: str, answer: str, domain: str, confidence: float
) -> None:
    entry = record(label=label, reason=reason, answer=answer, tags={"domain": domain}, confidence=confidence)
    texts: LabelPolicy = getattr(policies, label)
    values = {"reason": reason, "label": label, "domain": domain}
    parts = [templates.fill(text, values) for text in (texts.task, texts.safety, texts.policy)]

    assert Composer(fmt, policies, DOMAIN)(entry) == Target(
        compose(Thinking(*parts, Final(label, confidence, reason, answer)), fmt), "policy"
    )


def test_every_problem_of_the_texts_is_named() -> None:
    policies = Policies(
        ALLOW=LabelPolicy(task="{domian}の件", safety="{reason!r}", policy="{", reason="質問", answer="はい"),
        DENY=LabelPolicy(task="{部署}", safety="{reason.upper}", policy="{label:>9}", reason="権限外"),
    )

    assert policy_problems(policies, {"domain": "一般", "reason": "なし"}) == [
        "placeholders.reason: every record fills {reason} itself",
        "policies.ALLOW.task: unknown placeholder {domian}, did you mean {domain}?",
        "policies.ALLOW.safety: {reason} takes neither format nor conversion",
        "policies.ALLOW.policy: Single '{' encountered in format string in '{' (write {{ and }} for braces)",
        "policies.ALLOW.answer: one answer cannot serve every question; leave it out",
        "policies.DENY.task: unknown placeholder {部署}, known: {label}, {reason}, {domain}, {reason}",
        "policies.DENY.safety: unknown placeholder {reason.upper}, did you mean {reason}?",
        "policies.DENY.policy: {label} takes neither format nor conversion",
        "policies.DENY.answer: needed for records that bring no answer",
    ]


def test_the_texts_that_come_with_the_code_are_sound() -> None:
    assert policy_problems(POLICIES, DOMAIN) == []


CONVERSATION = ExampleWriter(chat.PHI3, TAGS, "慎重に答えます。")
TARGET = Target("<final>回答</final>", "given")


def test_a_single_turn_becomes_system_user_assistant() -> None:
    example = CONVERSATION(record(harm=["fraud"]), TARGET)

    assert list(example) == [
        *("id", "messages", "text", "label", "confidence", "split", "made_from", "tags", "harm", "source")
    ]
    assert example["messages"] == [
        {"role": "system", "content": "慎重に答えます。"},
        {"role": "user", "content": "会議の予定を教えてください。"},
        {"role": "assistant", "content": "<final>回答</final>"},
    ]
    assert example["text"] == (
        "<|system|>\n慎重に答えます。<|end|>\n<|user|>\n会議の予定を教えてください。<|end|>\n"
        "<|assistant|>\n<final>回答</final><|end|>\n"
    )


def test_earlier_answers_are_final_parts_and_lookalikes_in_them_are_inert() -> None:
    history = [{"role": "user", "content": "<final>とは"}, {"role": "assistant", "content": "</final>は印です。"}]
    example = CONVERSATION(record(system="敬語で。", history=history), TARGET)

    assert example["text"] == (
        "<|system|>\n慎重に答えます。\n\n敬語で。<|end|>\n<|user|>\n<final>とは<|end|>\n"
        "<|assistant|>\n<final><\\/final>は印です。</final><|end|>\n"
        "<|user|>\n会議の予定を教えてください。<|end|>\n<|assistant|>\n<final>回答</final><|end|>\n"
    )


@pytest.mark.parametrize("changes", [{}, {"system": "敬語で。"}, {"history": []}])
def test_the_text_is_the_rendering_of_the_messages(changes: dict[str, Any]) -> None:
    example = CONVERSATION(record(**changes), TARGET)

    assert example["text"] == chat.render(example["messages"], chat.PHI3)


def test_no_system_message_where_the_spec_has_none() -> None:
    assert ExampleWriter(chat.PHI3, TAGS, "")(record(), TARGET)["text"].startswith("<|user|>\n会議")


def answered(number: str, question: str, writer: ExampleWriter, **changes: Any) -> dict[str, Any]:
    thought = Thinking("件", "安全", "方針", Final("ALLOW", 0.9, "理由", f"{question}の答え"))
    row = {**record(**changes), "id": number, "text": question}
    return writer(row, Target(compose(thought, TAGS), "given"))


def test_a_direct_answer_can_stand_behind_a_turn_of_another_record_of_its_split() -> None:
    writer = ExampleWriter(chat.PHI3, TAGS, "", 1.0, 1.0)

    first = answered("a", "一", writer)
    held = answered("b", "二", writer, split="validation")
    second = answered("c", "三", writer)
    turns = answered("d", "四", writer, history=[{"role": "user", "content": "前"}])

    final = "<final>判定: ALLOW\n確信度: 0.90\n理由: 理由\n回答: 一の答え</final>"
    assert [one.get("before") for one in (first, held, turns)] == [None, None, None]
    assert second["before"] == [{"role": "user", "content": "一"}, {"role": "assistant", "content": final}]
    assert all(one["direct"] for one in (first, held, second, turns))
