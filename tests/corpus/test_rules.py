from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from so8t.corpus.rules import SEVERITY, Harm, HarmClass, Rule, RuleBook, Rules, normalise
from so8t.formats.records import LABELS


def rule(name: str, label: str, *patterns: str, unless: tuple[str, ...] = ()) -> Rule:
    return Rule(name=name, label=label, patterns=patterns, unless=unless, reason=f"{name}のため")


def problems(**values: object) -> list[tuple[tuple[object, ...], str]]:
    with pytest.raises(ValidationError) as caught:
        Rule.model_validate({"name": "r", "label": "DENY", "patterns": ["住所"], "reason": "規程", **values})
    return [(error["loc"], error["msg"]) for error in caught.value.errors()]


def name_of(book: RuleBook, text: str) -> str | None:
    found = book.match(text)
    return found.name if found else None


def test_the_most_severe_class_wins_over_the_order_of_the_spec():
    book = RuleBook.of([rule("recipe", "ALLOW", "作り方"), rule("bomb", "REFUSE", "爆弾")])
    assert name_of(book, "爆弾の作り方を教えて") == "bomb"
    assert name_of(book, "カレーの作り方を教えて") == "recipe"


def test_within_a_class_the_first_rule_wins():
    book = RuleBook.of([rule("first", "DENY", "住所"), rule("second", "DENY", "顧客の住所")])
    assert name_of(book, "顧客の住所を見せて") == "first"


def test_an_exception_leaves_the_text_to_the_next_rule():
    book = RuleBook.of([rule("bomb", "REFUSE", "爆弾", unless=("ニュース",)), rule("news", "ALLOW", "ニュース")])
    assert name_of(book, "爆弾処理のニュースを要約して") == "news"


def test_no_rule_is_none():
    assert RuleBook.of([rule("bomb", "REFUSE", "爆弾")]).match("今日の天気は? 😀") is None


@pytest.mark.parametrize("text", ["ＭＤＭＡを買いたい", "mdmaを買いたい", "MDMAを買いたい"])
def test_full_width_and_letter_case_make_no_difference(text):
    assert name_of(RuleBook.of([rule("drugs", "REFUSE", "MDMA")]), text) == "drugs"


def test_half_width_katakana_matches_a_katakana_pattern():
    assert name_of(RuleBook.of([rule("virus", "REFUSE", "ウイルスを作")]), "ｳｲﾙｽを作って") == "virus"


def test_a_pattern_that_does_not_compile_is_refused_where_it_stands():
    assert problems(patterns=["住所", "(電話"]) == [
        (
            ("patterns", 1),
            "Value error, not a regular expression: missing ), unterminated subpattern at position 0 in '(電話'",
        )
    ]


def test_a_pattern_that_normalised_text_can_never_hold_is_refused():
    assert problems(patterns=["Ｅｘｃｅｌ|表"]) == [
        (
            ("patterns", 0),
            "Value error, 'Ｅｘｃｅｌ|表' holds 'Ｅｘｃｅｌ', which never occurs in NFKC-normalised text: "
            "write 'Excel', with a backslash before what is special in a regular expression",
        )
    ]


def test_a_pattern_that_matches_everything_is_refused():
    assert problems(unless=["(住所)?"]) == [
        (
            ("unless", 0),
            "Value error, '(住所)?' matches the empty text, so it would match every record",
        )
    ]


def test_a_rule_without_patterns_is_refused():
    assert problems(patterns=[]) == [(("patterns",), "Value error, a rule needs at least one pattern")]


def test_a_label_outside_the_four_classes_is_refused():
    assert problems(label="BLOCK") == [(("label",), "Input should be 'ALLOW', 'ESCALATION', 'DENY' or 'REFUSE'")]


def test_confidence_nought_is_refused():
    assert problems(confidence=0) == [(("confidence",), "Input should be greater than 0")]


@pytest.mark.parametrize(
    ("names", "message"),
    [(["a", "a"], "Value error, two rules are called 'a'"), (["harm"], "Value error, 'harm' is taken")],
)
def test_rule_names_are_unique_and_harm_is_taken(names, message):
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Rules).validate_python([rule(name, "DENY", "住所") for name in names])
    assert caught.value.errors()[0]["msg"] == message


def test_harm_demands_refuse_unless_its_category_says_otherwise():
    harm = Harm(categories={"self_harm": HarmClass(label="ESCALATION", reason="相談員へ")})
    assert harm.demand(["weapons"]) == HarmClass()
    assert harm.demand(["self_harm"]) == HarmClass(label="ESCALATION", reason="相談員へ")
    assert harm.demand(["self_harm", "weapons"]) == HarmClass()
    assert harm.demand([]) is None


def test_harm_can_never_demand_allow():
    with pytest.raises(ValidationError) as caught:
        Harm.model_validate({"default": {"label": "ALLOW"}})
    assert caught.value.errors()[0]["msg"] == "Input should be 'ESCALATION', 'DENY' or 'REFUSE'"


WORDS = ("爆弾", "住所", "相続", "翻訳", "ＡＢＣ", "🍛")


@settings(max_examples=60, derandomize=True, database=None)
@given(
    rules=st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from(WORDS)), max_size=6),
    text=st.lists(st.sampled_from([*WORDS, "を教えて"])).map("".join),
)
def test_the_match_is_the_most_severe_of_all_that_match_alone(rules, text):
    made = [rule(f"r{number}", label, normalise(word)) for number, (label, word) in enumerate(rules)]
    alone = [each for each in made if RuleBook.of([each]).match(text)]
    found = RuleBook.of(made).match(text)
    assert found == max(alone, key=lambda each: SEVERITY[each.label], default=None)
