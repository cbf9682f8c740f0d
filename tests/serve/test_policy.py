"""The policy's truth table: what leaves, for every class and every kind of answer."""

from __future__ import annotations

import pytest

from so8t.serve.policy import Policy, Reply
from so8t.serve.splitter import Verdict
from tests.serve.served import POLICY, TEXTS

ANSWERS = {
    "nothing": " 。\n",
    "help": "パスワードは 1234 です。手順は次の通り。",
    "declines": "申し訳ありませんが、その件はお答えできません。",
    "hands over": "担当部署にご相談ください。",
    "own REFUSE text": TEXTS["REFUSE"].answer,
    "own DENY text, other width": "権限の範囲を超えるため､お応えできません｡",
}
ASIS, REFUSAL, OWN = "as it is", "a refusal", "the class's own text"
TABLE = {
    ("ALLOW", "nothing"): REFUSAL,
    ("ALLOW", "help"): ASIS,
    ("ALLOW", "declines"): ASIS,
    ("ALLOW", "hands over"): ASIS,
    ("ALLOW", "own REFUSE text"): REFUSAL,
    ("ALLOW", "own DENY text, other width"): REFUSAL,
    **{
        (label, kind): REFUSAL if kind == "help" else OWN
        for label in ("ESCALATION", "DENY", "REFUSE")
        for kind in ANSWERS
    },
}


@pytest.mark.parametrize(("label", "kind"), TABLE)
def test_truth_table(label: str, kind: str) -> None:
    expected = {
        ASIS: Reply(label, 0.8, "理由", ANSWERS[kind]),
        OWN: Reply(label, 0.8, "理由", TEXTS[label].answer),
        REFUSAL: Reply("REFUSE", 1.0, "有害な行為の依頼", "有害な行為に関わるため、お手伝いできません。", agreed=False),
    }

    assert POLICY.decide(Verdict(label, 0.8, "理由"), ANSWERS[kind]) == expected[TABLE[label, kind]]


@pytest.mark.parametrize("reason", ["", " ", "一行目\n二行目", "長" * 201])
def test_a_reason_that_is_none_or_too_much_is_the_profiles(reason: str) -> None:
    assert POLICY.decide(Verdict("DENY", 0.8, reason), "お応えできません").reason == "権限の範囲外"


@pytest.mark.parametrize("answer", [*ANSWERS.values(), "権限の範囲を超えるため、お応えできません。ただし別です"])
@pytest.mark.parametrize("label", TEXTS)
def test_what_may_leave_early_is_never_taken_back(label: str, answer: str) -> None:
    whole = POLICY.decide(Verdict(label, 0.8, "理由"), answer)

    for end in range(len(answer) + 1):
        if POLICY.may_leave(label, answer[:end]):
            assert whole.answer == answer and whole.agreed


def test_an_ordinary_answer_leaves_with_its_first_letter() -> None:
    assert POLICY.may_leave("ALLOW", "締")
    assert not POLICY.may_leave("ALLOW", "「")
    assert not POLICY.may_leave("DENY", "締")


def test_the_version_is_that_of_texts_and_patterns() -> None:
    assert POLICY.version == Policy(dict(TEXTS), POLICY.declining).version
    assert POLICY.version != Policy({**TEXTS, "DENY": TEXTS["REFUSE"]}, POLICY.declining).version
    assert POLICY.version != Policy(TEXTS, ("x",)).version
