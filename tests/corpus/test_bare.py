"""The voice about names that have nothing beside them: its weights are its tool's, and it adds to the rules."""

from __future__ import annotations

import json

import pytest

from so8t.corpus import names
from so8t.corpus.bare import candidates, scoring
from so8t.corpus.bare.words import WORDS, words
from so8t.corpus.findings import folded
from tests.corpus import piisentences, piisets
from tools import bare

AUTHORS = piisets.read("authors")


def found(text: str) -> list[str]:
    return [text[one.start : one.end] for one in names.find(folded(text))]


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("先週堂本が言ってた店ここ?", ["堂本"]),
        ("来週の当番→植草、早乙女、冬木", ["植草", "早乙女", "冬木"]),
        ("え、みさきとこうた別れたの？", ["みさき", "こうた"]),
        ("さっき翔から電話あって、終電逃したって", ["翔"]),
        ("弟樹、明日試合だって", ["樹"]),
        ("むっちゃん、明日来れる？", ["むっ"]),
        ("Kevinが日本来るって!", ["Kevin"]),
        ("イノクマ レン,2001/01/12", ["イノクマ レン"]),
        ("前にもらったヤス子さんのレシピ", ["ヤス子"]),
    ],
)
def test_a_bare_name_is_found_whole(text: str, whole: list[str]) -> None:
    assert found(text) == whole
    assert len(names.by_rules(folded(text))) < len(whole)


@pytest.mark.parametrize(
    "text",
    [
        "高槻で降りたらバス乗って",
        "石川県と福島県の境、山口の手前です",
        "のぞみで品川まで行きます",
        "光の速さは一定である",
        "アイコンを押すと、メモリが足りませんと出ます",
        "PostgreSQLの設定を読み直します",
        "今日は林の中を歩いた",
        "明日までに、まとめておいてください",
    ],
)
def test_a_word_in_the_place_of_a_name_stays(text: str) -> None:
    assert found(text) == []


def test_what_stands_in_a_placeholder_is_no_name() -> None:
    least = scoring.weights().least
    assert max(total for total, _, _ in scoring.scored("堂本と植草が来た")) > least
    assert scoring.find("〔堂本〕と〔植草〕が来た", []) == []


def test_who_is_found_bare_is_the_same_person_as_with_an_honorific() -> None:
    (first, second) = names.find(folded("植草さんに聞いて。植草が知ってる"))

    assert (first.family, second.family) == ("植草", "植草")


def test_no_text_that_is_learned_from_is_held_out() -> None:
    learned = {line["text"] for line in [*AUTHORS, *piisets.read("tuned"), *piisentences.lines()]}
    held = {line["text"] for name in ("heldout", "second", "third") for line in piisets.read(name)}

    assert (len(AUTHORS), len(held)) == (5300, 950)
    assert learned & held == set()


def test_each_mark_counts_once_as_it_was_learned() -> None:
    lines, known = AUTHORS[:200], scoring.weights()
    sums = [known.bias + sum(known.marks.get(mark, 0) for mark in place.marks) for place in bare.places(lines)]

    assert [total for line in lines for total, _, _ in scoring.scored(folded(line["text"]))] == sums
    assert len(sums) == 777


def test_the_weights_are_those_of_the_regression_rounded_to_thousandths() -> None:
    places = bare.places(AUTHORS[:60])
    fitted = bare.fit(places)
    columns, model = fitted.columns, fitted.model
    for place, logit in zip(places[:200], fitted.logits(places[:200]), strict=True):
        total = model.intercept_[0] + sum(model.coef_[0][columns[mark]] for mark in place.marks if mark in columns)
        assert total == pytest.approx(logit, abs=1e-9)
    whole = fitted.weights()
    assert whole.bias == round(model.intercept_[0] * scoring.UNIT)
    assert all(abs(weight) >= bare.SMALLEST for weight in whole.marks.values())
    assert {mark: round(model.coef_[0][columns[mark]] * scoring.UNIT) for mark in whole.marks} == whole.marks


@pytest.mark.soak
def test_the_weights_are_what_the_tool_makes_of_its_texts() -> None:
    shipped = scoring.weights()
    made = bare.fit(bare.places(bare.learned())).weights()

    marks = shipped.marks.keys() | made.marks.keys()
    far = [mark for mark in marks if abs(shipped.marks.get(mark, 0) - made.marks.get(mark, 0)) > bare.SMALLEST]
    assert abs(shipped.bias - made.bias) <= 3
    assert (shipped.least, far) == (made.least, [])


@pytest.mark.soak
def test_on_texts_that_it_did_not_learn_from_it_doubles_what_the_rules_find() -> None:
    rules, *_ = told = list(bare.told(bare.learned(), len(AUTHORS)))

    assert rules.startswith("rules alone: recall 2253/5628 = 0.400")
    at = next(line for line in told if line.startswith(f"from {bare.THRESHOLD:5}:"))
    recall = float(at.split("with the rules recall ")[1].split(" = ")[1].split(",")[0])
    precision = float(at.split("precision ")[1].split(" = ")[1].split(";")[0])
    assert recall > 0.82 and precision > 0.84


def test_the_dictionary_tells_names_from_words() -> None:
    told = words().told

    assert (told["渡会"], told["山口"], told["ひかり"][0]) == (("f", 19), ("fop", 16), "ow")
    assert len(WORDS.read_text("utf-8").splitlines()) == 40_543
    assert (len(words().families), len(words().givens)) == (11_886, 75_383)


def test_marks_of_a_word_do_not_depend_on_where_it_stands() -> None:
    def marks(text: str) -> tuple[str, ...]:
        return next(one.marks for _, one in candidates.candidates(text) if one.kind == "F")

    assert marks("堂本が来た") == marks("きのう、堂本")


def test_a_weight_is_a_whole_number() -> None:
    told = json.loads(scoring.WEIGHTS.read_text("utf-8"))

    assert {type(weight) for weight in (told["bias"], told["least"], *told["marks"].values())} == {int}
