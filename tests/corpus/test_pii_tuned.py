"""The rules on sentences made from templates, which they may be tuned on: at least 0.95 of every kind."""

from __future__ import annotations

from collections import Counter

import pytest

from so8t.corpus import pii
from so8t.evals import personal
from so8t.evals.personal import Figures
from tests.corpus import piisentences

INTERNAL = (r"EMP-\d{6}", r"CUST-\d{8}")
TABLE = pii.kinds(pii.KINDS, ("0120", "0570", "0800", "0990"), INTERNAL)
LINES = piisentences.lines()


@pytest.fixture(scope="module")
def figures() -> dict[str, Figures]:
    return personal.measure(LINES, TABLE)


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
