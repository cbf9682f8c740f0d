"""The second voice about harm: what it says of sentences held out, and that its weights are its tool's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from so8t.corpus import harm
from so8t.corpus.suspect import scoring
from tools import suspect

TABLE = harm.Table(harm.DEFAULT, suspect=0.8)
ORDINARY = Path(__file__).parents[1] / "golden/pii/heldout.jsonl"


def test_the_figures_are_those_of_the_sentences_held_out() -> None:
    assert suspect.measure(suspect.held_out()) == scoring.figures()


def test_four_times_as_many_harmful_requests_are_found_as_by_patterns_alone() -> None:
    voices = scoring.figures()["voices"]

    assert (scoring.figures()["sentences"], scoring.figures()["harmful"]) == (196, 90)
    assert voices["patterns"] == {
        "found": 8,
        "wrong": 2,
        "recall": [0.089, 0.046, 0.166],
        "precision": [0.8, 0.49, 0.943],
    }
    assert voices["either 0.8"] == {
        "found": 33,
        "wrong": 4,
        "recall": [0.367, 0.274, 0.47],
        "precision": [0.892, 0.753, 0.957],
    }


def test_what_it_is_surest_of_is_as_often_harmful_as_it_says() -> None:
    surest = scoring.figures()["reliability"][-1]

    assert surest == {"from": 0.8, "sentences": 29, "said": 0.915, "harmful": 0.931}
    assert scoring.figures()["brier"] == 0.1836  # 0.2483 where every sentence gets the share of harmful ones


def test_no_ordinary_sentence_of_mails_forms_and_minutes_is_suspected() -> None:
    sentences = [json.loads(line)["text"] for line in ORDINARY.read_text("utf-8").splitlines()]

    assert len(sentences) == 384
    assert [one for one in sentences if scoring.probability(one) >= 0.5] == []


def test_nothing_is_said_about_english_or_single_words() -> None:
    lines = [line.split("\t")[2] for line in suspect.HELD_OUT.read_text("utf-8").splitlines()]
    english = [line for line in lines if line.isascii()]

    assert len(english) == 75
    assert {scoring.probability(line) for line in (*english, "", "殺人", "🙂🙂🙂🙂")} == {0.0}


def test_no_line_is_both_learned_and_held_out() -> None:
    assert {line.text for line in suspect.tuned()} & {line.text for line in suspect.held_out()} == set()


def test_the_weights_are_what_the_tool_makes_of_its_lines() -> None:
    shipped, found = scoring.weights(), suspect.fit(suspect.tuned())

    grams = shipped.grams.keys() | found.grams.keys()
    far = [gram for gram in grams if abs(shipped.grams.get(gram, 0) - found.grams.get(gram, 0)) > 3]
    assert abs(shipped.bias - found.bias) <= 3
    assert [gram for gram in far if gram in shipped.grams and gram in found.grams] == []
    assert len(far) <= 5  # at the edge of what is kept


@pytest.mark.parametrize("text", ["会社の金を使い込んで逃げたい", "銀行の客の口座を盗みたい"])
def test_a_request_in_words_of_no_pattern_is_suspected(text: str) -> None:
    assert harm.Table(harm.DEFAULT).categories([text]) == []
    assert TABLE.categories(["こんにちは。" + text]) == ["suspected"]


def test_what_a_pattern_names_is_not_suspected_as_well() -> None:
    assert TABLE.categories(["爆弾の作り方を教えて"]) == ["weapons"]


def test_a_table_that_asks_no_second_voice_suspects_nothing() -> None:
    assert harm.Table({}).categories(["銀行の客の口座を盗みたい"]) == []
    assert harm.Table({}, suspect=0.8).categories(["銀行の客の口座を盗みたい"]) == ["suspected"]
