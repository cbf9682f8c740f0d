"""The splitter hands on answer text and nothing else, whatever the model writes and however it is cut."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from so8t.formats.thinking import FORMATS, HEADINGS, TAGS, Final, FormatError, Thinking, ThinkingFormat, compose, split
from so8t.serve.splitter import Broken, Splitter, Verdict
from tests.serve.served import POLICY

GOOD = compose(
    Thinking("経費の質問。", "危険なし。", "答える。", Final("ALLOW", 0.97, "一般的な質問", "締め切りは月末です。")),
    TAGS,
)
PIECES = (
    *("<think-task>", "</think-task>", "<think-safety>", "</think-safety><think-policy>", "</think-policy>", "<final>"),
    *(
        "</final>",
        "<\\final>",
        "<\\\\think-task>",
        "<|end|>",
        "<\\|end|>",
        "\n回答: ",
        "\n回\\答: ",
        "\n理由: ",
        "判定: ALLOW",
    ),
    *(
        "# 思考ステップ",
        "## 課題\n",
        "\n## 安全性\n",
        "#\\ 最終回答",
        "\n# 最終回答\n",
        "\n",
        "＜final＞",
        "<FINAL>",
        "<",
        "#",
        "\\",
    ),
    *("think", "-task", "経費", "🏠", "a < b", "t", "＃ 課題"),
)
TEXTS = st.lists(st.sampled_from(PIECES), max_size=6).map("".join)
SETTINGS = settings(max_examples=300, derandomize=True, deadline=None)


def chunks(text: str, seed: int) -> list[str]:
    chance, found = random.Random(seed), []
    while text:
        size = chance.choice((1, 1, 2, 3, 7, 40))
        found.append(text[:size])
        text = text[size:]
    return found


def run(fed: list[str], fmt: ThinkingFormat = TAGS, limit: int = 1 << 20) -> tuple[str, str, Verdict | None]:
    """What came out, how it ended, and the verdict."""
    splitter, out = Splitter(fmt, limit), ""
    try:
        for chunk in fed:
            out += splitter.feed(chunk)
        out += splitter.end()
    except Broken as broken:
        return out, str(broken), splitter.verdict
    return out, "whole", splitter.verdict


def answered(answer: str) -> str:
    """A whole output with this in the place of the answer."""
    return GOOD.replace("締め切りは月末です。", answer)


def test_one_character_at_a_time_gives_the_answer_and_the_verdict() -> None:
    assert run(list(GOOD)) == ("締め切りは月末です。", "whole", Verdict("ALLOW", 0.97, "一般的な質問"))


def test_answer_text_comes_out_with_the_chunk_that_brings_it() -> None:
    splitter = Splitter(TAGS, 1000)
    before, answer = GOOD.split("締め切り")

    assert splitter.feed(before) == ""
    assert splitter.feed("締め") == "締め"
    assert splitter.feed("切り") == "切り"
    assert splitter.feed(answer) == "は月末です。"


def test_text_that_may_become_a_marker_waits_until_it_is_none() -> None:
    splitter = Splitter(TAGS, 1000)
    splitter.feed(GOOD.split("締め切り")[0])

    assert splitter.feed("a <") == "a "
    assert splitter.feed("/fin") == ""
    assert splitter.feed("e>") == "</fine>"


def test_the_thinking_is_kept_inside() -> None:
    splitter = Splitter(TAGS, 1000)
    splitter.feed(GOOD)

    assert splitter.thinking == GOOD.split("判定")[0] + "判定: "


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
@given(task=TEXTS, reason=TEXTS, answer=TEXTS, seed=st.integers(0, 99))
@SETTINGS
def test_what_is_composed_comes_out_unless_it_is_a_marker_in_disguise(
    fmt: ThinkingFormat, task: str, reason: str, answer: str, seed: int
) -> None:
    whole = compose(Thinking(task, "", "規程", Final("DENY", 0.5, reason, answer)), fmt)

    out, end, verdict = run(chunks(whole, seed), fmt)

    assert end in ("whole", "look-alike")
    if end == "whole":
        assert (out, verdict) == (answer, Verdict("DENY", 0.5, reason))
    else:
        assert answer.startswith(out)


@pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
@given(pieces=st.lists(st.sampled_from(PIECES), max_size=4), cut=st.integers(0, 400), seed=st.integers(0, 99))
@SETTINGS
def test_nothing_passes_that_split_refuses_and_chunks_make_no_difference(
    fmt: ThinkingFormat, pieces: list[str], cut: int, seed: int
) -> None:
    good = compose(Thinking("秘密", "秘密", "秘密", Final("ALLOW", 0.9, "理由", "回答です")), fmt)
    cut = cut % (len(good) + 1)
    text = good[:cut] + "".join(pieces) + good[cut:]

    out, end, verdict = run(chunks(text, seed), fmt)

    assert (end, verdict) == run([text], fmt)[1:]
    assert "秘" not in out
    if end == "whole":
        final = split(text, fmt).final
        assert (out, verdict) == (final.answer, Verdict(final.label, final.confidence, final.reason))


def test_every_prefix_of_a_good_output_is_unfinished() -> None:
    for end in range(len(GOOD)):
        out, how, _ = run([GOOD[:end]])

        assert how == "unfinished" and "締め切りは月末です。".startswith(out)
        with pytest.raises(FormatError):
            split(GOOD[:end], TAGS)


@pytest.mark.parametrize(
    ("text", "how"),
    [
        ("", "unfinished"),
        ("こんにちは", "no opening"),
        ("\n" + GOOD, "no opening"),
        (GOOD + "\n", "text after the end"),
        (GOOD + GOOD, "text after the end"),
        (GOOD.replace("ALLOW", "Allow"), "no such class"),
        (GOOD.replace("ALLOW", "ALLOW\n"), "structure"),
        (GOOD.replace("0.97", "１"), "no such confidence"),
        (GOOD.replace("0.97", "7"), "no such confidence"),
        (GOOD.replace("経費", "<final>経費"), "structure"),
        (GOOD.replace("</think-task>", ""), "structure"),
        (GOOD.replace("</think-task>", "</think-task>\n"), "structure"),
        (answered("a<think-task>b"), "structure"),
        (answered("a</final>b"), "text after the end"),
        (answered("a<|end|>b"), "structure"),
        (answered("a＜think-task＞b"), "look-alike"),
        (answered("a<THINK-TASK>b"), "look-alike"),
        (answered("a< / think - task >b"), "look-alike"),
        (answered("a<think\u200b-ta\u200bsk>b"), "look-alike"),
        (answered("a<тhіnk-tаsk>b"), "look-alike"),
        (answered("a〈think_task〉b"), "look-alike"),
        (answered("a[think-policy]b"), "look-alike"),
        (answered("a{{think+policy}}b"), "look-alike"),
        (answered("a【think：policy】b"), "look-alike"),
        (answered("a thinkーtask: b"), "look-alike"),
        (answered("a&lt;think-safety&gt;b"), "look-alike"),
        (answered("a <Final> b"), "look-alike"),
        (answered("a <ﬁnal> b"), "look-alike"),
        (answered("a <think> b"), "look-alike"),
        (answered("a <\\final> b"), "look-alike"),
        (answered("a <\\\\think-task> b"), "look-alike"),
        (answered("a<\\think-tas\\k>b"), "look-alike"),
        (answered("𝐭𝐡𝐢𝐧𝐤-𝐭𝐚𝐬𝐤: b"), "look-alike"),
        (answered("<" + " " * 100), "look-alike"),
        (answered("a\n# 思考ステップ\nb"), "look-alike"),
    ],
)
def test_an_output_that_breaks_the_format_ends_in_a_word(text: str, how: str) -> None:
    assert run(list(text))[1] == how
    assert run([text])[1] == how


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "a <\\|end|> b <\\\\|user|>",
        "I think safety comes first, then task 2. They think – policy?",
        "（最終版）の report(final).pdf、[think]、x < y、t" + "-" * 200,
        "一行目\n二行目\n\n回答: 三行目",
        "## 課題\n# 最終回答の例",
        "f(), g[] {}（）【】",
        "f(",
        "🏠ＡＢＣ：全角 ▁ \u3000 <b>太字</b>",
    ],
)
def test_ordinary_text_is_not_taken_for_a_marker(answer: str) -> None:
    whole = answered(answer)

    assert run(list(whole))[:2] == (split(whole, TAGS).final.answer, "whole")


@pytest.mark.parametrize("line", ["＃ 課題", "# # 安全性", "#\u3000最終回答 ", "## 方\u200b針", "# 思考ステップ"])
def test_a_heading_in_disguise_is_refused_where_headings_are_structure(line: str) -> None:
    whole = compose(Thinking("一", "二", "三", Final("ALLOW", 0.9, "理由", "本文")), HEADINGS)

    assert run(list(f"{whole}\n{line}\n続き"), HEADINGS)[0] == "本文\n"
    assert run(list(f"{whole}\n{line}"), HEADINGS)[1] in ("look-alike", "structure")


def test_no_answer_of_the_sample_corpus_is_taken_for_a_marker_or_for_a_contradiction(root: Path) -> None:
    told = 0
    for path in sorted((root / "specs" / "tiny" / "corpus").glob("test_*.jsonl")):
        for record in map(json.loads, path.read_bytes().splitlines()):
            final = Final(record["label"], 0.9, record["reason"], record["answer"])
            out, end, verdict = run([compose(Thinking("一", "二", "三", final), TAGS)])
            assert (out, end) == (record["answer"], "whole")
            assert verdict is not None and POLICY.decide(verdict, out).agreed
            told += 1

    assert told > 400


def test_a_heading_about_something_else_is_text() -> None:
    whole = compose(Thinking("一", "二", "三", Final("ALLOW", 0.9, "理由", "## 課題と対策\n<|end|> #1")), HEADINGS)

    assert run(list(whole), HEADINGS)[:2] == ("## 課題と対策\n<|end|> #1", "whole")


def test_after_it_broke_nothing_comes_out() -> None:
    splitter = Splitter(TAGS, 1000)
    with pytest.raises(Broken):
        splitter.feed("x")

    with pytest.raises(Broken, match="over"):
        splitter.feed(GOOD)


def test_an_output_without_end_is_cut_off() -> None:
    assert run([GOOD, "x" * 100], limit=150)[1] == "too long"
    assert run(["<think-task>"] + ["x" * 100] * 20, limit=1000) == ("", "too long", None)


@pytest.mark.slow
def test_a_megabyte_of_pieces_costs_time_in_proportion_to_its_length() -> None:
    for text in ("<", "<\\", "</fina", "(t", "－", "\n回", "t-"):
        assert run([answered(text * (5_000 // len(text)))], limit=1 << 20)[1] in ("whole", "look-alike", "structure")
        run(["<think-task>", *(text * 1000 for _ in range(1000 // len(text)))], limit=1 << 21)


def test_spaces_around_an_output_are_swallowed_and_hide_nothing() -> None:
    splitter = Splitter(TAGS, 10_000)
    said = "".join(splitter.feed(each) for each in chunks("  " + GOOD + "  ", 3)) + splitter.end()
    assert said == "締め切りは月末です。"

    again = Splitter(TAGS, 10_000)
    with pytest.raises(Broken, match="text after the end"):
        again.feed(" " + GOOD + " <think-task>")


def test_a_space_behind_the_final_parts_marker_is_swallowed_however_it_comes() -> None:
    for text in (GOOD.replace("<final>", "<final> "), GOOD):
        for seed in range(5):
            assert run(chunks(text, seed))[:2] == ("締め切りは月末です。", "whole")
    assert run([GOOD.replace("<final>", "<final>  ")])[1] != "whole"
