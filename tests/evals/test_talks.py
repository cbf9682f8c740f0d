"""Figures of answers that name no class: loss, perplexity, format, the record's own words, patterns, intervals."""

from __future__ import annotations

import numpy as np

from so8t.evals import bootstrap, outcomes, talks
from so8t.evals.outcomes import Outcome, judge
from so8t.evals.talks import Loss, Valid
from so8t.formats.layouts import NONE, THINK
from so8t.formats.thinking import Plain, compose

TEXTS = ("はい、十時です。", "いいえ。", "<think>", "はい。\n")
OUTCOMES = [judge(str(at), None, text, "stop", NONE) for at, text in enumerate(TEXTS)]
LOSSES = [Loss(2.0, 4), Loss(1.0, 2), Loss(3.0, 2), Loss(2.0, 2)]


def test_an_answer_without_a_class_is_valid_or_says_where_it_breaks() -> None:
    assert [(one.label, one.said, one.problem) for one in OUTCOMES] == [
        (None, None, None),
        (None, None, None),
        (None, None, "character 0: expected the end, found '<think>'"),
        (None, None, None),
    ]
    assert outcomes.figures(OUTCOMES) == {"records": 4, "format_valid": 0.75, "leaks": 0}


def test_the_figures_of_a_split() -> None:
    weights = np.array([[1.0, 1, 1, 1], [0, 4, 0, 0]])
    answers = ["はい、十時です。", "はい。", "はい。", "はい。"]

    found = talks.scores(
        {"base": OUTCOMES, "f16": OUTCOMES},
        answers,
        {"base": LOSSES, "f16": LOSSES},
        {"yes": "^はい"},
        weights,
        "base",
        NONE,
    )

    assert {name: value for name, value in found["f16"].items() if name not in ("intervals", "more_than_base")} == {
        "mode": "thinking",
        "records": 4,
        "leaks": 0,
        "loss": 0.8,  # 8 over 10 tokens
        "perplexity": 2.2255,
        "format_valid": 0.75,
        "exact": 0.5,
        "matches yes": 0.5,
    }
    assert found["f16"]["intervals"]["loss"] == [0.5075, 0.7925]  # between the two draws, 0.8 and 0.5
    assert found["f16"]["more_than_base"]["loss"] == [0.0, 0.0]
    assert "more_than_base" not in found["base"]


def test_what_is_held_against_a_record_is_what_is_shown() -> None:
    text = compose(Plain(("はい",), "いいえ"), THINK)
    (one,) = talks.scores(
        {"f16": [judge("1", None, text, "stop", THINK)]},
        ["いいえ"],
        {"f16": [Loss(1.0, 1)]},
        {"yes": "はい"},
        np.ones((1, 1)),
        "base",
        THINK,
    ).values()

    assert (one["exact"], one["matches yes"]) == (1.0, 0.0)


def test_direct_answers_have_the_interval_of_what_can_be_read() -> None:
    assert bootstrap.intervals(bootstrap.rates(OUTCOMES, np.array([[1.0, 1, 1, 1]]))) == {"format_valid": [0.75, 0.75]}


def test_pytorch_s_answers_are_counted_by_their_format() -> None:
    valid = Valid()
    for text in TEXTS:
        valid.add(None, text, NONE)

    assert valid.figures() == {"records": 4, "format_valid": 0.75}
    assert isinstance(OUTCOMES[0], Outcome)
