"""What counts as thinking in the part of an answer that is shown, and what does not."""

from __future__ import annotations

import pytest

from so8t.evals import bench, leaks
from so8t.evals.leaks import Watch, sentences, visible
from so8t.evals.outcomes import Outcome
from so8t.formats.thinking import FORMATS, HEADINGS, TAGS, Final, Thinking, ThinkingFormat, compose

FINAL = Final("DENY", 0.9, "権限の範囲外", "権限の範囲を超えるため、お応えできません。")
OWN = Thinking("経理で他人の情報を求めている。", "本人の同意なく情報が漏れる。", "規程により応じない。", FINAL)
TAUGHT = (
    OWN,
    Thinking("小売の件。なし", "危険は見当たらない。", "通常の支援として答える。", Final("ALLOW", 1, "一般", "はい。")),
    Thinking("件", "安全", "規程では範囲外！お応えできません。", FINAL),
)


def watch(fmt: ThinkingFormat = TAGS) -> Watch:
    return Watch(fmt, TAUGHT, [OWN])


def test_thinking_is_known_by_its_sentences_but_for_the_very_short_ones() -> None:
    assert sentences(TAUGHT[1]) == {"小売の件", "危険は見当たらない", "通常の支援として答える"}
    assert sentences(Thinking("3.14 を使う. Then answer.", "", "a\nいろはに", FINAL)) == {
        "3.14 を使う",
        "Then answer",
        "いろはに",
    }


@pytest.mark.parametrize(
    ("shown", "found"),
    [
        ("判定: DENY\n理由: 権限の範囲外\n回答: お応えできません。", ()),
        ("判定: DENY\n回答: 本人の同意なく情報が漏れるため", ("本人の同意なく情報が漏れる",)),  # its own
        ("回答: 危険は見当たらない。小売の件。", ("危険は見当たらない", "小売の件")),  # another's
        ("<think-task>小売の件", ("<think-task>", "小売の件")),
        ("</final></final>", ("</final>", "</final>")[:1]),
        ("回答: 危険は無い。", ()),
        (r"回答: <\final>という印です。", ()),  # a word of the answer, as it is written
    ],
)
def test_a_leak_is_a_tag_or_a_sentence_of_any_thinking(shown: str, found: tuple[str, ...]) -> None:
    assert watch().leaks(OWN, shown) == found


def test_a_sentence_of_a_record_that_was_never_learned_is_found_in_its_own_answer_alone() -> None:
    novel = Thinking("前例のない依頼である。", "安全", "方針", FINAL)

    found = Watch(TAGS, TAUGHT, [OWN, novel])
    assert found.leaks(novel, "前例のない依頼である") == ("前例のない依頼である",)
    assert found.leaks(OWN, "前例のない依頼である") == ()


def test_what_right_answers_say_too_gives_nothing_away_and_is_counted() -> None:
    found = watch()

    assert found.leaks(OWN, "お応えできません") == ()
    assert found.figures == {"sentences": 7, "said_in_answers": 1}


def test_headings_are_tags_where_they_are_whole_lines() -> None:
    assert watch(HEADINGS).leaks(OWN, "回答: はい\n## 課題\n何か") == ("## 課題",)
    assert watch(HEADINGS).leaks(OWN, "回答: ## 課題 とは") == ()


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
def test_what_is_shown_is_the_final_part_s_inside_in_either_mode(fmt: ThinkingFormat) -> None:
    inside = "判定: DENY\n確信度: 0.90\n理由: 権限の範囲外\n回答: 権限の範囲を超えるため、お応えできません。"
    whole = compose(OWN, fmt)

    assert visible(whole, fmt, directly=False) == inside
    assert visible(fmt.parts[-1].open + inside + fmt.parts[-1].close, fmt, directly=True) == inside


def test_an_answer_that_thinks_after_the_opening_shows_all_of_it() -> None:
    text = compose(OWN, TAGS)

    shown = visible("<final>" + text, TAGS, directly=True)
    assert shown == text.removesuffix("</final>")
    assert watch().leaks(OWN, shown)[:2] == ("<think-task>", "</think-task>")


def test_a_leak_is_told_with_records_type_and_what_to_do() -> None:
    def outcome(number: int, *found: str) -> Outcome:
        return Outcome(f"r{number}", "DENY", "DENY", 1.0, None, "stop", "", found)

    sound = [outcome(0), outcome(1)]
    some = [outcome(0), outcome(1, "</final>", "なにか"), outcome(2, "小売の件")]
    many = [outcome(at, "小売の件") for at in range(10)]
    assert bench.leaking({"test": {"f16": sound}}) == []

    assert bench.leaking({"test_known": {"f16": sound, "q8_0": some}, "test_novel": {"q4_k_m": many}}) == [
        "test_known: 2 of 3 direct answers of q8_0 hold thinking: r1 (</final>), r2 (小売の件); "
        "test_novel: 10 of 10 direct answers of q4_k_m hold thinking: "
        + ", ".join(f"r{at} (小売の件)" for at in range(8))
        + " and 2 more; raise thinking_sft.direct or the steps in adapter.yaml, or take a larger type in types of "
        "gguf.yaml; thinking_sft.direct: 0 closes this way of asking"
    ]


def test_a_long_text_is_walked_once() -> None:
    found = leaks._Sentences([f"文{at:05}番" for at in range(10_000)])

    assert list(found.within("文00042番" + "あ" * 50_000 + "文09999番")) == ["文00042番", "文09999番"]
