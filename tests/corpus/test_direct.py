"""Which records are learned a second time: by their ids alone, about as many as the spec says."""

from __future__ import annotations

import pytest

from so8t.corpus.direct import Choice

IDS = [f"{number:016x}" for number in range(10_000)]


def chosen(share: float, split: str = "train") -> set[str]:
    return {number for number in IDS if Choice(share)(number, split)}


def test_none_all_and_a_fifth() -> None:
    assert chosen(0) == set()
    assert chosen(1) == set(IDS)
    assert len(chosen(0.2)) == 2016


def test_a_larger_share_takes_some_more_and_lets_none_go() -> None:
    assert chosen(0.1) < chosen(0.2) < chosen(0.9)


def test_what_is_watched_is_chosen_as_what_is_trained_on() -> None:
    assert chosen(0.2, "validation") == chosen(0.2)


@pytest.mark.parametrize("split", ["test", "test_known", "anything"])
def test_records_that_are_held_out_are_learned_in_no_way(split: str) -> None:
    assert chosen(1, split) == set()
