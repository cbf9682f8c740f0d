from __future__ import annotations

from so8t.corpus.agreement import Agreement, Tally


def test_the_figures_of_five_decisions_are_exactly_these():
    tally = Tally()
    tally.add("ALLOW", "ALLOW", 0.9)
    tally.add("ALLOW", "DENY", 0.7)
    tally.add("REFUSE", "REFUSE", 0.9)
    tally.add("REFUSE", "ALLOW", 0.5)
    tally.add("DENY", None)
    assert tally.figures() == {
        "records": 5,
        "coverage": 0.8,
        "accuracy": 0.5,
        "milder_than_given": 0.25,
        "macro_f1": 0.3889,
        "expected_calibration_error": 0.35,
        "classes": {
            "ALLOW": {"precision": 0.5, "recall": 0.5, "f1": 0.5, "given": 2, "decided": 2},
            "ESCALATION": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "given": 0, "decided": 0},
            "DENY": {"precision": 0.0, "recall": 0.0, "f1": 0.0, "given": 1, "decided": 1},
            "REFUSE": {"precision": 1.0, "recall": 0.5, "f1": 0.6667, "given": 2, "decided": 1},
        },
        "confusion": {
            "ALLOW": {"ALLOW": 1, "ESCALATION": 0, "DENY": 1, "REFUSE": 0},
            "ESCALATION": {"ALLOW": 0, "ESCALATION": 0, "DENY": 0, "REFUSE": 0},
            "DENY": {"ALLOW": 0, "ESCALATION": 0, "DENY": 0, "REFUSE": 0, "(no rule)": 1},
            "REFUSE": {"ALLOW": 1, "ESCALATION": 0, "DENY": 0, "REFUSE": 1},
        },
    }


def test_confidence_one_has_a_bin():
    tally = Tally()
    tally.add("ALLOW", "ALLOW", 1.0)
    assert tally.figures()["expected_calibration_error"] == 0.0


def test_nothing_measured_is_nought_and_no_calibration_error():
    figures = Tally().figures()
    assert (figures["records"], figures["accuracy"], figures["expected_calibration_error"]) == (0, 0.0, None)


def test_an_untrained_classifier_has_no_figures():
    agreement = Agreement()
    agreement.together.add("DENY", "ESCALATION")
    agreement.unsure += 1
    figures = agreement.figures(trained=False)
    assert figures["classifier"] is None
    assert figures["together"]["sent_to_a_person"] == 1.0
