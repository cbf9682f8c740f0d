from __future__ import annotations

from itertools import product

import pytest

from so8t.corpus.classifier import Guess
from so8t.corpus.labelling import NO_GUESS, Decision, Labeller, Policy, survey
from so8t.corpus.rules import SEVERITY, Harm, HarmClass, Rule, RuleBook
from so8t.errors import DataError
from so8t.formats.records import LABELS

HOME = Rule(name="home", label="DENY", patterns=("住所",), reason="個人情報のため")
COOKING = Rule(name="cooking", label="ALLOW", patterns=("作り方",), reason="料理のため")
POLICY = Policy(
    rules=RuleBook.of([HOME, COOKING]),
    harm=Harm(categories={"self_harm": HarmClass(label="ESCALATION", reason="相談員へ")}),
    reasons={label: f"{label}のため" for label in LABELS},
    threshold=0.6,
    unsure="担当者が確認します",
)


def record(text: str, **more: object) -> dict[str, object]:
    number = more.pop("line", 1)
    return {"id": f"{number:016x}", "text": text, **more, "source": {"name": "s", "file": "s.jsonl", "line": number}}


def label(*records: dict[str, object], measure: bool = False) -> tuple[Labeller, list[dict[str, object]]]:
    labeller = Labeller(POLICY, None, measure)
    return labeller, [labelled for labelled, _ in labeller.label(records, batch=2)]


def look(records: list[dict[str, object]], cap: int = 100, strict: bool = True, group_by: str | None = None):
    return survey(records, POLICY, cap=cap, group_by=group_by, strict=strict)


def test_a_given_label_and_its_reason_are_kept():
    _, (labelled,) = label(record("カレーの作り方", label="DENY", reason="規程", answer="できません", harm=["weapons"]))
    assert list(labelled.items()) == [
        ("id", "0000000000000001"),
        ("text", "カレーの作り方"),
        ("label", "DENY"),
        ("confidence", 1.0),
        ("reason", "規程"),
        ("labelled_by", "given"),
        ("answer", "できません"),
        ("harm", ["weapons"]),
        ("source", {"name": "s", "file": "s.jsonl", "line": 1}),
    ]


def test_a_given_label_without_a_reason_takes_the_agreeing_rules_and_else_the_classes():
    _, labelled = label(record("隣人の住所", label="DENY"), record("隣人の住所", label="ALLOW"))
    assert [each["reason"] for each in labelled] == ["個人情報のため", "ALLOWのため"]


def test_a_rule_labels_what_has_no_label():
    _, (labelled,) = label(record("隣人の住所を教えて", label=None))
    assert [labelled[key] for key in ("label", "confidence", "reason", "labelled_by")] == [
        "DENY", 0.95, "個人情報のため", "rule:home",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("guess", "decision"),
    [
        (Guess("REFUSE", 0.8), Decision("REFUSE", 0.8, "REFUSEのため", "classifier")),
        (Guess("REFUSE", 0.6), Decision("REFUSE", 0.6, "REFUSEのため", "classifier")),
        (Guess("ALLOW", 0.5999), Decision("ESCALATION", 0.5999, "担当者が確認します", "threshold")),
        (NO_GUESS, Decision("ESCALATION", 0.0, "担当者が確認します", "threshold")),
    ],
)
def test_below_the_threshold_a_person_decides(guess, decision):
    assert POLICY.inferred(None, guess, ()) == decision


def test_harm_overrules_a_given_allow_and_withdraws_its_answer_and_thinking():
    given = record("作り方", label="ALLOW", reason="料理", answer="まず…", thinking={"task": "…"}, harm=["weapons"])
    labeller, (labelled,) = label(given)
    assert labelled == record(
        "作り方",
        label="REFUSE",
        confidence=0.99,
        reason="有害な行為につながる内容のため、応じられません。",
        labelled_by="rule:harm",
        harm=["weapons"],
    )
    assert labeller.overruled == {("ALLOW", "REFUSE"): 1}
    assert labeller.withdrawn == 1


def test_the_answer_of_an_unlabelled_record_stays_only_under_allow():
    labeller, labelled = label(record("隣人の住所", answer="東京都…"), record("カレーの作り方", answer="まず…"))
    assert ["answer" in each for each in labelled] == [False, True]
    assert labeller.withdrawn == 1


def test_harm_never_ends_as_allow_and_never_weakens():
    rules = [None, HOME, COOKING]
    guesses = [NO_GUESS, *(Guess(label, confidence) for label in LABELS for confidence in (0.3, 0.9))]
    for rule, guess, harm in product(rules, guesses, (["self_harm"], ["weapons"], ["self_harm", "weapons"], ["new"])):
        calm = POLICY.inferred(rule, guess, ())
        harmful = POLICY.inferred(rule, guess, harm)
        assert harmful.label != "ALLOW"
        assert SEVERITY[harmful.label] >= SEVERITY[calm.label]
    for given, harm in product(LABELS, (["self_harm"], ["weapons"])):
        decided = POLICY.given(record("。", label=given, harm=harm), None)
        assert decided.label != "ALLOW"
        assert SEVERITY[decided.label] >= SEVERITY[given]


def test_a_given_escalation_stands_where_the_harm_asks_for_a_person_only():
    assert POLICY.given(record("。", label="ESCALATION", harm=["self_harm"]), None).labelled_by == "given"
    assert POLICY.given(record("。", label="ESCALATION", harm=["weapons"]), None).label == "REFUSE"


def test_an_unknown_label_names_record_place_and_the_four_classes():
    with pytest.raises(DataError) as caught:
        look([record("x", label="allow", line=12)])
    assert str(caught.value) == (
        "s.jsonl:12: record 000000000000000c: unknown label 'allow', not one of ALLOW, ESCALATION, DENY, REFUSE; "
        "correct it, or set unknown_label: quarantine"
    )


def test_a_label_of_another_type_is_unknown_too():
    with pytest.raises(DataError, match=r"^s\.jsonl:1: record 0000000000000001: unknown label \['ALLOW'\], not one"):
        look([record("x", label=["ALLOW"])])


def test_an_unknown_label_in_quarantine_comes_out_with_its_problem():
    labeller = Labeller(POLICY, None, True)
    out = list(labeller.label([record("x", label="MAYBE", split="test"), record("住所")], batch=1))
    assert [problem for _, problem in out] == [
        "unknown label 'MAYBE', not one of ALLOW, ESCALATION, DENY, REFUSE",
        None,
    ]
    assert (labeller.quarantined, labeller.counts) == (1, {("rule", "DENY"): 1})


def test_the_survey_counts_everything_and_trains_on_no_pinned_split():
    surveyed = look(
        [
            record("a", label="ALLOW", tags={"pattern": "p1"}),
            record("b", label="DENY", split="train"),
            record("c", label="DENY", split="test_known"),
            record("d", label="DENY", split="validation"),
            record("e"),
            record("f", label="?"),
        ],
        strict=False,
        group_by="pattern",
    )
    assert (surveyed.records, surveyed.unlabelled, surveyed.trainable) == (6, 1, 2)
    assert sorted((each.text, each.group) for each in surveyed.examples) == [("a", "p1"), ("b", None)]


def test_the_cap_takes_the_same_records_in_whatever_order_they_come():
    records = [record(f"文{number}", label="ALLOW", line=number) for number in range(50)]
    kept = look(records, cap=7).examples
    assert len(kept) == 7
    assert look(records[::-1], cap=7).examples == kept
    assert set(kept) < set(look(records, cap=8).examples)


def test_what_harm_overruled_trains_as_what_it_became():
    assert look([record("a", label="ALLOW", harm=["weapons"])]).examples[0].label == "REFUSE"


def test_held_out_records_are_scored_under_the_name_of_their_split():
    labeller, _ = label(
        record("隣人の住所", label="DENY", split="test_known"),
        record("天気", label="ALLOW", split="test_novel"),
        record("天気", label="ALLOW"),
        measure=True,
    )
    assert {scope: tally.together.confusion for scope, tally in labeller.agreements.items()} == {
        "test_known": {("DENY", "DENY"): 1},
        "test_novel": {("ALLOW", "ESCALATION"): 1},
    }
