"""One answer judged, many in figures, and what resampling makes of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.evals import bootstrap, outcomes
from so8t.evals.outcomes import Outcome, judge
from so8t.formats.records import LABELS, Label
from so8t.formats.thinking import TAGS, Final, Thinking, compose


def answer(label: str, confidence: float) -> str:
    return compose(Thinking("件", "安全", "方針", Final(label, confidence, "理由", "はい😢")), TAGS)


def outcome(truth: Label, said: Label | None, confidence: float | None = None) -> Outcome:
    return Outcome("", truth, said, confidence, None if said else "broken", "stop", "")


def test_an_answer_with_the_format_says_its_class_and_confidence() -> None:
    found = judge("r1", "DENY", answer("ALLOW", 0.8), "stop", TAGS)

    assert (found.said, found.confidence, found.problem) == ("ALLOW", 0.8, None)


def test_an_answer_without_it_is_kept_and_says_where_it_broke() -> None:
    text = answer("DENY", 0.8).removesuffix("</final>")
    found = judge("r1", "DENY", text, "length", TAGS)

    assert (found.said, found.confidence, found.text) == (None, None, text)
    assert found.problem == f"character {len(text)}: expected </final>, found the end of the text"


def test_a_broken_answer_counts_as_wrong_in_a_column_of_its_own() -> None:
    found = outcomes.figures([outcome("DENY", None), outcome("DENY", "DENY", 1.0)])

    assert (found["accuracy"], found["format_valid"]) == (0.5, 0.5)
    assert found["confusion"]["DENY"] == {"ALLOW": 0, "ESCALATION": 0, "DENY": 1, "REFUSE": 0, "(no format)": 1}


def test_reliability_bins_say_how_often_a_confidence_was_right() -> None:
    found = outcomes.figures(
        [outcome("ALLOW", "ALLOW", 0.9), outcome("ALLOW", "DENY", 1.0), outcome("ALLOW", "ALLOW", 0.25)]
    )

    assert found["reliability"] == [
        {"from": 0.2, "to": 0.3, "answers": 1, "confidence": 0.25, "accuracy": 1.0},
        {"from": 0.9, "to": 1.0, "answers": 2, "confidence": 0.95, "accuracy": 0.5},
    ]


# ---- intervals

OUTCOMES = st.lists(
    st.builds(
        lambda truth, said, confidence: outcome(truth, said, confidence if said else None),
        st.sampled_from(LABELS),
        st.sampled_from([*LABELS, None]),
        st.integers(0, 100).map(lambda percent: percent / 100),
    ),
    min_size=1,
    max_size=40,
)


@given(OUTCOMES)
@settings(max_examples=60, derandomize=True)
def test_every_record_once_gives_the_figures_themselves(found: list[Outcome]) -> None:
    expected = outcomes.figures(found)
    rates = bootstrap.rates(found, numpy.ones((1, len(found))))

    for name, values in rates.items():
        if expected[name] is None:
            assert numpy.isnan(values[0])
        else:
            assert values[0] == pytest.approx(expected[name], abs=6e-5)  # figures have four decimals


def test_a_draw_has_as_many_records_as_there_are_and_a_seed_draws_the_same() -> None:
    drawn = bootstrap.draws(7, 300, seed=1)

    assert (drawn.sum(axis=1) == 7).all()
    assert (drawn == bootstrap.draws(7, 300, seed=1)).all()
    assert not (drawn == bootstrap.draws(7, 300, seed=2)).all()


def test_intervals_are_those_of_the_binomial_law() -> None:
    found = [outcome("ALLOW", "ALLOW", 1.0)] * 160 + [outcome("ALLOW", "DENY", 1.0)] * 40
    interval = bootstrap.intervals(bootstrap.rates(found, bootstrap.draws(200, 4000, 0)))["accuracy"]

    assert interval == pytest.approx([0.8 - 1.96 * 0.0283, 0.8 + 1.96 * 0.0283], abs=0.006)


def test_a_rate_of_nothing_has_no_interval() -> None:
    found: Sequence[Outcome] = [outcome("ESCALATION", None)] * 3
    intervals = bootstrap.intervals(bootstrap.rates(found, bootstrap.draws(3, 100, 0)))

    assert intervals["unsafe_compliance"] is None
    assert intervals["expected_calibration_error"] is None
    assert intervals["accuracy"] == [0.0, 0.0]


def test_differences_are_paired_by_record() -> None:
    one = [outcome("ALLOW", "ALLOW")] * 5 + [outcome("ALLOW", "DENY")] * 5
    weights = bootstrap.draws(10, 200, 0)
    rates = bootstrap.rates(one, weights)

    assert bootstrap.difference(rates, bootstrap.rates(list(one), weights))["accuracy"] == [0.0, 0.0]
