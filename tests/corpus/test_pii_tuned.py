"""The rules on sentences that they may be tuned on, made from templates or written: at least 0.95 of every kind."""

from __future__ import annotations

from collections import Counter
from dataclasses import astuple

import pytest

from so8t.corpus import pii
from so8t.evals import personal
from so8t.evals.personal import Figures
from so8t.report import personal as reported
from tests.corpus import piisentences, piisets

LINES = piisentences.lines()
WRITTEN = piisets.read("tuned")


@pytest.fixture(scope="module")
def figures() -> dict[str, Figures]:
    return personal.measure(LINES, piisets.of_tuned())


@pytest.fixture(scope="module")
def written() -> dict[str, Figures]:
    return personal.measure(WRITTEN, piisets.of_tuned())


def test_there_are_so_many_sentences_of_each_register() -> None:
    assert Counter(line["register"] for line in LINES) == dict.fromkeys(sorted(piisentences.TEMPLATES), 550)
    assert sum(not line["spans"] for line in LINES) > 500


def test_the_same_seed_makes_the_same_sentences() -> None:
    assert piisentences.lines(40) == LINES[:40]
    assert piisentences.lines(40, seed=18) != LINES[:40]


def test_every_kind_is_found_and_little_else(figures: dict[str, Figures]) -> None:
    assert sorted(figures) == sorted(pii.KINDS)
    shares = {kind: (one.recall.share, one.precision.share) for kind, one in figures.items()}
    assert {kind: share for kind, share in shares.items() if min(share) < 0.95} == {}


def test_so_many_spans_say_something(figures: dict[str, Figures]) -> None:
    """Forty of a kind, all found, are 0.91 or more at 95 %."""
    assert min(one.there for one in figures.values()) >= 35
    assert all(one.recall.interval[0] > 0.9 for one in figures.values())


def test_nothing_is_found_that_no_span_is_near(figures: dict[str, Figures]) -> None:
    assert {kind: one.wrong for kind, one in figures.items() if one.wrong} == {}


def test_sentences_written_for_names_and_dates_of_birth(written: dict[str, Figures]) -> None:
    counts = Counter(kind for line in WRITTEN for _, _, kind in line["spans"])

    assert (len(WRITTEN), sum(not line["spans"] for line in WRITTEN), len({line["text"] for line in WRITTEN})) == (
        *(945, 297, 945),
    )
    assert counts == {"name": 562, "birth_date": 208, "phone": 2, "email": 1}
    assert {kind: astuple(one) for kind, one in written.items()} == {
        "birth_date": (207, 208, 207, 0),
        "email": (1, 1, 1, 0),
        "name": (557, 562, 579, 22),
        "phone": (2, 2, 2, 0),
    }


def test_a_finding_is_measured_where_it_stands_also_where_a_space_is_in_it_and_behind_it() -> None:
    line = {"text": "氏名 山田 太郎 1990/4/1", "spans": [[3, 8, "name"], [9, 17, "birth_date"]]}

    assert personal.located(line["text"], piisets.of_tuned()) == [(3, 8, "name"), (9, 17, "birth_date")]
    assert {kind: astuple(one) for kind, one in personal.measure([line], piisets.of_tuned()).items()} == {
        "birth_date": (1, 1, 1, 0),
        "name": (1, 1, 1, 0),
    }


def test_the_data_card_s_figures_are_these(figures: dict[str, Figures], written: dict[str, Figures]) -> None:
    """Written anew by `python benchmarks/personal.py --json so8t/report/look/personal.json`."""
    told = piisets.told(len(LINES) + len(WRITTEN), figures, written)

    assert reported.measured()["tuned"] == told
