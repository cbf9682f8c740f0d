"""Records accounted for: what came in, went on and left, with reasons, and a picture that says the same."""

from __future__ import annotations

from so8t.report import flow
from tests.report.made import facts


def test_every_step_says_what_came_in_and_what_left_for_which_reason() -> None:
    found = flow.steps(facts())

    assert [(step.stage, step.taken, step.given) for step in found] == [
        ("raw", 15, 14), ("cleaned", 14, 12), ("labelled", 12, 12), ("thinking_sft", 12, 12), ("adapter", 8, 8),
    ]  # fmt: skip
    assert [(loss.reason, loss.count) for step in found for loss in step.losses] == [("blank", 1), ("language", 2)]
    assert all(step.adds_up for step in found)


def test_a_loss_names_its_record_in_its_file_and_shows_the_first_that_left() -> None:
    (loss,) = flow.steps(facts())[1].losses

    assert (loss.figure.text, loss.figure.file, loss.figure.record) == ("2", "cleaned/stats.json", "dropped.language")
    assert loss.examples == [{"id": "gone1", "reason": "language", "detail": {"japanese": 0.1}}]


def test_records_that_vanish_without_a_reason_do_not_add_up() -> None:
    documents = {**facts().documents, "cleaned/stats.json": {"in": 14, "out": 11, "dropped": {"language": 2}}}

    assert [step.adds_up for step in flow.steps(facts(documents=documents))] == [True, False, True, True, True]


def test_the_picture_says_every_count_and_reason() -> None:
    drawn = str(flow.draw(facts()))

    assert (
        "Records: raw 15 in, 14 out; cleaned 14 in, 12 out; labelled 12 in, 12 out; thinking_sft 12 in, 12 out" in drawn
    )
    assert "− 2 language" in drawn
    assert "8 · 66.7 %" in drawn


def test_without_records_there_is_no_picture() -> None:
    assert flow.draw(facts(documents={})) is None
    assert flow.steps(facts(documents={})) == ()
