"""The data card of a build: what is in the data, what left it and why, and what nobody knows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from so8t.report import datacard
from so8t.report.cards import Card
from so8t.report.facts import Facts, Value
from tests.report.made import STAGES, facts, stage

SAID = (Value("sources[0].name", "own"), Value("sources[0].terms", "CC0|mine"), Value("sources[0].trust", "high"))
CLEANED = (Value("pii.kinds", ["email", "phone"]), Value("duplicates.exact", True), Value("duplicates.near", False))
COUNTS = {
    "in": 14, "out": 9, "dropped": {"exact_duplicate": 1, "harm:minor_sexual": 1, "language": 3},
    "pii": {"email": 2}, "harm": {"fraud": 1},
}  # fmt: skip
SOURCE = {"file": "data/own.jsonl", "line": 7}
LEFT: list[dict[str, Any]] = [
    {"id": "aa", "reason": "language", "detail": {"japanese": 0.1}, "source": SOURCE, "text": "Call 〔電話番号〕"},
    {"id": "ab", "reason": "language", "source": SOURCE, "text": "a `b` *c* <d>"},
    {"id": "ac", "reason": "language", "source": SOURCE},
    {"id": "ad", "reason": "harm:minor_sexual", "source": SOURCE, "text": ""},
]
WHOLE = """\
# The data of own

What the model was trained and evaluated on. The conversations are in `../thinking_sft/splits/`.

## Sources and their terms

- own: 14 records of 15 lines
  - terms of use: CC0\\|mine
  - trust: high

## What the sites of web pages say about training

Conversations, by vocabulary; those that a site refuses are not fetched.

| vocabulary | yes | no | unknown |
| --- | --- | --- | --- |
| AIPREF | 3 | 0 | 0 |
| TDMRep | 0 | 0 | 1 |

## What was done to them

| stage | in | out | left, and why |
| --- | --- | --- | --- |
| raw | 15 | 14 | blank 1 |
| cleaned | 14 | 9 | exact_duplicate 1, harm:minor_sexual 1, language 3 |
| labelled | 12 | 12 | none |
| thinking_sft | 12 | 12 | none |

## Personal data

Personal data of these kinds are replaced before anything is stored: email, phone.
Patterns do not find the names of persons.

| kind | replaced |
| --- | --- |
| email | 2 |

How well so8t finds them, measured on other texts than these: 384 Japanese ones were written by hand before any rule \
was tuned, 4,245 are those that the rules were tuned on.
In parentheses intervals of 95 %; an identifier of `internal` is found as well as its pattern is written.

| kind | held out | found whole | findings that are right | found whole, tuned on | findings that are right, tuned on |
| --- | --- | --- | --- | --- | --- |
| email | 10 | 1.00 (0.72 to 1.00) | 1.00 (0.72 to 1.00) | 1.00 (0.98 to 1.00) | 1.00 (0.98 to 1.00) |
| phone | 17 | 1.00 (0.82 to 1.00) | 1.00 (0.82 to 1.00) | 1.00 (0.99 to 1.00) | 1.00 (0.99 to 1.00) |

## Harmful and NSFW texts

Harmful and NSFW texts in the data serve detection and refusal only: they are examples of DENY and REFUSE, never a \
text to generate. The build checks that.

| kind | records |
| --- | --- |
| fraud | 1 |

Conversations whose request is marked so, by class: ALLOW 0, ESCALATION 0, DENY 0, REFUSE 1.

How well harm is found, with the patterns that come with so8t: 196 Japanese sentences were written by hand before \
anything was tuned, 90 requests for harm and 106 texts that look like them.
In parentheses intervals of 95 %; where harm is rarer than there, less of what is named is harmful.
Requests are looked for: of insults in statements hardly any is found.

| who looks | of the harmful ones named | of those named, harmful | look-alikes named |
| --- | --- | --- | --- |
| patterns | 0.09 (0.05 to 0.17) | 0.80 (0.49 to 0.94) | 2 |
| patterns, or the classifier from 0.5 | 0.58 (0.47 to 0.68) | 0.91 (0.81 to 0.96) | 5 |
| patterns, or the classifier from 0.7 | 0.43 (0.34 to 0.54) | 0.89 (0.76 to 0.95) | 5 |
| patterns, or the classifier from 0.8 | 0.37 (0.27 to 0.47) | 0.89 (0.75 to 0.96) | 4 |
| patterns, or the classifier from 0.9 | 0.28 (0.20 to 0.38) | 0.93 (0.77 to 0.98) | 2 |

The classifier was not asked here. Its Brier score there is 0.184; where it says 0.8 and more, 0.92 on average, 0.93 \
are harmful.

## Splits and classes

| split | conversations | ALLOW | REFUSE |
| --- | --- | --- | --- |
| train | 8 | 6 (75.0 %) | 2 (25.0 %) |
| test | 4 | 4 (100.0 %) | 0 (0.0 %) |

| class from | ALLOW | ESCALATION | DENY | REFUSE |
| --- | --- | --- | --- | --- |
| given | 9 | 0 | 0 | 2 |
| rule:harm | 0 | 0 | 0 | 1 |

## Languages

Questions, by their letters; no language was guessed.

| split | Japanese letters | other letters |
| --- | --- | --- |
| train | 7 | 1 |
| test | 4 | 0 |

## Repetitions and leakage

| looked for | left |
| --- | --- |
| records that repeat another exactly | 1 |
| records near to another | not looked for |
| records near to one of a split held out | 0 |

Questions that stand word for word in more than one of the finished splits: 1.

## What left, by reason

The first ten of each reason, without personal data of the kinds that are looked for and cut short. Names of persons \
may still stand in them: look at them before you hand this page on.

### raw: blank (1)

The records are no longer there, or say nothing more.

### cleaned: exact_duplicate (1)

The records are no longer there, or say nothing more.

### cleaned: harm:minor_sexual (1)

- `ad`, data/own.jsonl:7: not shown, for it is harmful

### cleaned: language (3)

- `aa`, data/own.jsonl:7, japanese 0.1: `Call 〔電話番号〕`
- `ab`, data/own.jsonl:7: `` a `b` *c* <d> ``
- `ac`, data/own.jsonl:7: its text is no longer there

## What is not known

- Whether the persons who wrote the texts agree to this use, and who they are.
- Whether what the texts say is true, and how they see groups of people: neither was measured.
- What the patterns do not find: names of persons, and personal data or harmful texts in words that no pattern has.
- Whether classes that came with the records are right (11): nobody labelled them a second time.
- Whether classes from rules and the classifier are right (1); the report says how often.

## Use

For training and testing of models that judge requests. The terms of each source hold for its records.
Not for learning how to do harm, and not for finding out about persons.
Time to make: 3.0 s.
"""


@pytest.fixture
def told() -> Facts:
    by = {"given": {"ALLOW": 9, "REFUSE": 2}, "rule:harm": {"REFUSE": 1}}
    agreed = {"records": {"in": 12, "out": 12, "quarantined": 0}, "labelled_by": by}
    stages = (stage("raw", values=SAID), stage("cleaned", "raw", seconds=2.0, values=CLEANED), *STAGES[2:])
    documents = {**facts().documents, "cleaned/stats.json": COUNTS, "labelled/agreement.json": agreed}
    return facts(stages=stages, documents=documents, dropped={"cleaned/dropped.jsonl": LEFT})


def test_a_card_says_of_the_data_what_a_careful_reader_asks(told: Facts) -> None:
    assert datacard.render(Card("own", told, "../thinking_sft/splits", shows_losses=True)) == WHOLE


def test_a_card_that_leaves_the_house_shows_no_record(told: Facts) -> None:
    text = datacard.render(Card("own", told))

    assert "No record of it is in this folder." in text
    assert "What left, by reason" not in text
    assert [word for word in ("Call", "data/own.jsonl", "`aa`") if word in text] == []


def test_a_card_says_from_which_probability_the_second_voice_was_heard(told: Facts) -> None:
    stages = (told.stages[0], replace(told.stages[1], values=(Value("harm.suspect", 0.8),)))

    assert "The classifier was asked here, from 0.8. Its" in datacard.render(Card("own", replace(told, stages=stages)))


def test_what_a_source_does_not_tell_is_said_to_be_unknown() -> None:
    text = datacard.render(Card("own", facts()))

    assert "  - terms of use: not told here\n" in text
    assert "- own: its terms of use and its trust.\n" in text


def test_without_its_files_a_split_has_its_number_and_no_more(told: Facts) -> None:
    text = datacard.render(Card("own", replace(told, splits=())))

    assert "| split | conversations |\n| --- | --- |\n| train | 8 |\n| test | 4 |\n" in text
    assert "## Languages" not in text
    assert "- Classes and languages of each split: its files are not there to be counted.\n" in text


@pytest.mark.parametrize("kinds", [[], ["email"]])
def test_personal_data_that_nobody_looked_for_is_not_said_to_be_replaced(told: Facts, kinds: list[str]) -> None:
    stages = (told.stages[0], replace(told.stages[1], values=(Value("pii.kinds", kinds),)))

    said = datacard.personal(Card("own", replace(told, stages=stages)))

    assert said == {
        0: "Personal data was not looked for.",
        1: "Personal data of these kinds are replaced before anything is stored: email.",
    }[len(kinds)]  # fmt: skip


def test_how_well_personal_data_is_found_is_told_of_the_kinds_that_are_looked_for() -> None:
    def rows(*kinds: str) -> list[str]:
        cleaned = stage("cleaned", values=(Value("pii.kinds", list(kinds)),))
        card = Card("own", facts(stages=(*(one for one in STAGES if one.name != "cleaned"), cleaned)))
        return [
            line
            for line in datacard.render(card).splitlines()
            if " to " in line and line.startswith(("| name", "| secret"))
        ]

    assert rows("secret", "name") == [
        "| name | 117 | 0.98 (0.94 to 0.99) | 0.91 (0.85 to 0.95) | 0.99 (0.99 to 1.00) | 0.99 (0.98 to 0.99) |",
        "| secret | 32 | 0.91 (0.76 to 0.97) | 1.00 (0.88 to 1.00) | 1.00 (0.98 to 1.00) | 1.00 (0.98 to 1.00) |",
        "| name, second part | 229 | 0.93 (0.88 to 0.95) | 0.92 (0.87 to 0.94) |",
        "| name, third part | 350 | 0.91 (0.88 to 0.94) | 0.94 (0.92 to 0.96) |",
    ]
    assert rows("email") == rows() == []
