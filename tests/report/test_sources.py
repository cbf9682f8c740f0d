"""Where records came from and what was found in them, as the spec and the counts say."""

from __future__ import annotations

from so8t.report import page, sources
from so8t.report.facts import Value
from tests.report.made import STAGES, facts, stage

DECLARED = (Value("sources[0].name", "own"), Value("sources[0].terms", "CC0"), Value("sources[0].trust", "high"))


def test_a_source_has_the_terms_that_its_declaration_says() -> None:
    (origin,) = sources.origins(facts(stages=(stage("raw", values=DECLARED), *STAGES[1:])))

    assert (origin.name, origin.terms, origin.trust, origin.lines.text, origin.records.text) == (
        *("own", "CC0", "high", "15", "14"),
    )
    assert (origin.records.file, origin.records.record) == ("raw/stats.json", "own.records")


def test_personal_data_and_harmful_texts_are_counted_by_kind() -> None:
    counts = {"in": 14, "out": 14, "dropped": {}, "pii": {"email": 3, "phone": 1}, "harm": {}}
    documents = {**facts().documents, "cleaned/stats.json": counts}

    (only,) = sources.found(facts(documents=documents))

    assert (only.what, [(kind, figure.text) for kind, figure in only.counts]) == (
        "Personal data replaced",
        [("email", "3"), ("phone", "1")],
    )


def test_what_differs_from_the_parent_is_said_in_one_place() -> None:
    whole, same = page.render(facts()), page.render(facts(stages=STAGES[:1]))

    assert "<caption>What differs from tiny</caption>" in whole
    assert "No value differs from tiny." in same
    assert "differs from" not in page.render(facts(parents=()))


def test_what_was_replaced_in_answers_is_told_by_split_model_and_way_of_asking() -> None:
    documents = facts().documents
    scores = documents["evaluation/scores.json"]
    f16 = {**scores["splits"]["test"]["f16"], "pii": {"email": 2}, "direct": {"pii": {"phone": 1_000}}}
    splits = {"test": {**scores["splits"]["test"], "f16": f16}}
    told = facts(documents={**documents, "evaluation/scores.json": {**scores, "splits": splits}})

    assert [(one.what, [(kind, n.text, n.record) for kind, n in one.counts]) for one in sources.found(told)] == [
        ("Personal data replaced in answers to test by f16", [("email", "2", "splits.test.f16.pii.email")]),
        (
            "Personal data replaced in answers to test by f16, direct",
            [("phone", "1,000", "splits.test.f16.direct.pii.phone")],
        ),
    ]
    assert (sources.withheld_of(f16), sources.withheld_of({})) == ("email 2, phone 1,000", "none")
