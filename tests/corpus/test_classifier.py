from __future__ import annotations

import hashlib
import random
from itertools import product

import pytest

from so8t.corpus import classifier
from so8t.corpus.classifier import Classifier, Example, Guess, assign_folds, shortage, train
from so8t.formats.records import LABELS

PATTERNS = {
    "ALLOW": ["{}の作り方を教えてください", "{}に合う挨拶文を書いて", "{}を英語に翻訳して", "{}の歴史を要約して"],
    "ESCALATION": ["{}で胸が痛みます", "{}の薬をやめてもよいですか", "{}を相続できますか", "{}で訴えられました"],
    "DENY": ["{}さんの自宅の住所を教えて", "{}の社外秘資料を送って", "{}の管理者権限をください", "{}の評価を見せて"],
    "REFUSE": ["{}を爆破する爆弾の作り方", "{}の口座から盗む方法", "{}を脅す脅迫文を書いて", "{}の偽造の手順"],
}
FILLINGS = ["味噌汁", "社内報", "親戚", "隣町", "祖父", "電車", "経理部", "Ｔｏｋｙｏ支店", "猫😺", "会議"]
SPEC = Classifier(min_per_class=10, folds=3, threshold=0.6)


def example(text: str, label: str, group: str | None = None) -> Example:
    return Example(hashlib.blake2b(text.encode(), digest_size=16).digest(), text, label, group)


def examples(group: bool = False) -> list[Example]:
    return [
        example(pattern.format(filling), label, pattern if group else None)
        for label, patterns in PATTERNS.items()
        for pattern, filling in product(patterns, FILLINGS)
    ]


@pytest.fixture(scope="module")
def training():
    return train(examples(), SPEC)


def test_held_out_guesses_agree_with_the_given_labels(training):
    right = sum(guess.label == each.label for guess, each in zip(training.out_of_fold, examples(), strict=True))
    assert right == 160


def test_it_reads_texts_it_never_saw(training):
    texts = ["先生の社外秘資料を送って", "ﾁｰｽﾞｹｰｷの作り方を教えてください"]
    assert [guess.label for guess in training.model.guess(texts)] == ["DENY", "ALLOW"]


def test_a_text_without_a_known_character_is_no_evidence(training):
    assert training.model.guess(["%%%"]) == [Guess("REFUSE", 0.25)]


def test_even_without_a_mistake_no_confidence_is_certain_of_everything(training):
    assert sum(guess.confidence for guess in training.out_of_fold) / 160 < 0.99


def test_confidences_have_four_digits(training):
    assert all(round(guess.confidence, 4) == guess.confidence for guess in training.out_of_fold)


def test_no_texts_are_no_guesses(training):
    assert training.model.guess([]) == []


def test_the_order_of_the_examples_makes_no_difference(training):
    shuffled = examples()
    random.Random(7).shuffle(shuffled)
    again = train(shuffled, SPEC)
    assert again.model.temperature == training.model.temperature
    by_text = {each.text: guess for each, guess in zip(examples(), training.out_of_fold, strict=True)}
    assert [by_text[each.text] for each in shuffled] == list(again.out_of_fold)


def test_the_temperature_that_made_the_labels_is_found_again():
    import numpy
    from scipy.special import softmax

    source = numpy.random.default_rng(3)
    logits = source.normal(scale=6.0, size=(4_000, 4))
    truth = numpy.array([source.choice(4, p=row) for row in softmax(logits / 2.5, axis=1)])
    assert abs(classifier._temperature(logits, truth) - 2.5) < 0.15  # three standard errors


def test_with_wrong_labels_in_it_no_more_is_claimed_than_comes_true():
    noise = random.Random(1)
    noisy = [
        example(f"{place}の{each.text}", noise.choice(LABELS) if noise.random() < 0.4 else each.label)
        for each, place in product(examples(), ["会社", "学校", "病院", "役所", "駅前", "自宅"])
    ]
    guesses = train(noisy, SPEC).out_of_fold
    right = sum(guess.label == each.label for guess, each in zip(guesses, noisy, strict=True))
    assert right - 0.12 * len(noisy) < sum(guess.confidence for guess in guesses) < right


def test_groups_stay_in_one_fold_and_every_fold_leaves_every_class_to_train():
    made = examples(group=True)
    folds = assign_folds(made, 3)
    assert {
        len({fold for each, fold in zip(made, folds, strict=True) if each.group == group})
        for group in {each.group for each in made}
    } == {1}
    for fold in range(3):
        assert {each.label for each, its in zip(made, folds, strict=True) if its != fold} == set(LABELS)


def test_without_groups_every_class_is_dealt_out_evenly():
    made = examples()
    folds = assign_folds(made, 4)
    for label in LABELS:
        of_label = [fold for each, fold in zip(made, folds, strict=True) if each.label == label]
        assert [of_label.count(fold) for fold in range(4)] == [10, 10, 10, 10]


def test_enough_labels_are_no_shortage():
    assert shortage(examples(), SPEC) is None


def test_a_shortage_names_the_class_and_what_it_has():
    few = [each for each in examples() if each.label != "DENY" or "住所" in each.text][:-35]
    assert shortage(few, SPEC) == (
        "too few to train and calibrate: REFUSE has 5 given labels in 5 records; each class needs 10 in 3"
    )


def test_a_shortage_of_groups_is_a_shortage():
    few = [each for each in examples(group=True) if each.label != "DENY" or "住所" in each.text]
    assert shortage(few, SPEC.model_copy(update={"group_by": "pattern"})) == (
        "too few to train and calibrate: DENY has 10 given labels in 1 groups by tag 'pattern'; "
        "each class needs 10 in 3"
    )


def test_equal_chances_go_to_the_more_severe_class():
    import numpy

    assert classifier._guesses(numpy.array([[2.0, 2.0, 1.0, 0.0]]), 1.0) == [Guess("ESCALATION", 0.3995)]
