"""Every declared thinking format: how it looks, that composing and splitting are inverse, and equal in every engine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from so8t.errors import StageError
from so8t.formats import capability, chat, direct, equality, gotemplate, layouts, owntemplate, suite
from so8t.formats import thinking as think
from so8t.formats.chat import PHI3
from so8t.formats.equality import Formats
from so8t.formats.grammar import grammar
from so8t.formats.layouts import ALL, HEADINGS, NONE, TAGS, THINK, TWO_HEADINGS, ThinkingFormat
from so8t.formats.thinking import Final, FormatError, Plain, Said, Thinking
from so8t.gguf.llamacpp import Model
from tests.formats import untrained
from tests.formats.test_grammar import Judge

EVERY = pytest.mark.parametrize("fmt", ALL, ids=[fmt.name for fmt in ALL])
SPELT = [*(marker for fmt in ALL for marker in fmt.markers), "<|end|>", "\\", "<\\think>", "\n", "回答: ", "x"]
TEXT = st.lists(st.one_of(st.sampled_from(SPELT), st.text(max_size=4)), max_size=6).map("".join)


def said(fmt: ThinkingFormat, thought: str, answer: str) -> Said:
    if fmt.classed:
        return Thinking(thought, thought, thought, Final("ALLOW", 0.9, thought, answer))
    return Plain((thought,) * (len(fmt.parts) - 1), answer)


@pytest.mark.parametrize(
    ("fmt", "whole", "directly"),
    [
        (THINK, "<think>\n考える\n</think>\n\n答え", "<think>\n\n</think>\n\n答え"),
        (TWO_HEADINGS, "# 思考ステップ\n考える\n# 最終回答\n答え", "# 最終回答\n答え"),
        (NONE, "答え", "答え"),
    ],
    ids=["think", "headings", "none"],
)
def test_plain_formats_look_like_this(fmt: ThinkingFormat, whole: str, directly: str) -> None:
    text = think.compose(said(fmt, "考える", "答え"), fmt)

    assert text == whole
    assert direct.answered([{"role": "assistant", "content": text}], fmt) == [
        {"role": "assistant", "content": directly}
    ]
    assert think.read_direct(directly, fmt) == Plain(("",) * (len(fmt.parts) - 1), "答え")


@EVERY
@settings(max_examples=40, derandomize=True, deadline=None)
@given(thought=TEXT, answer=TEXT)
@example(thought="</think>\n\n", answer="<think>\nx\n</think>\n\n")
@example(thought="# 最終回答\n", answer="\n# 最終回答")
def test_reading_gives_back_what_was_composed(fmt: ThinkingFormat, thought: str, answer: str) -> None:
    whole = said(fmt, thought, answer.lstrip(" ") if fmt is NONE else answer)  # where nothing stands before it

    assert think.read(think.compose(whole, fmt), fmt) == whole


@pytest.mark.parametrize(
    ("text", "fmt", "where"),
    [
        ("答え", THINK, "character 0: expected '<think>\\n', found '答え'"),
        ("<think>\n考える", THINK, "character 11: expected '\\n</think>\\n\\n', found the end of the text"),
        ("<think>\n一</think>\n\n二", THINK, "character 9: expected '\\n</think>\\n\\n', found '</think>\\n\\n二'"),
        ("<think>\n一\n</think>\n\n二<think>", THINK, "character 21: expected the end, found '<think>'"),
        ("<think>\n一\n</think>\n\n二", NONE, "character 0: expected the end, found '<think>\\n一\\n</think>\\n\\n'"),
        ("二", TWO_HEADINGS, "character 0: expected '# 思考ステップ\\n', found '二'"),
    ],
)
def test_a_text_that_does_not_keep_a_plain_format_says_where(text: str, fmt: ThinkingFormat, where: str) -> None:
    with pytest.raises(FormatError) as refused:
        think.read(text, fmt)

    assert str(refused.value) == where


@EVERY
def test_a_declaration_comes_back_from_its_file(fmt: ThinkingFormat) -> None:
    settled = replace(layouts.reserving(fmt, ["<|x|>"]), history=False, spaced=True)

    assert layouts.from_json(layouts.to_json(settled)) == settled


def test_only_tokens_that_mark_thinking_are_given_to_a_base() -> None:
    assert [fmt.tokens for fmt in ALL] == [TAGS.markers, (), (), ("<think>", "</think>"), ()]


def test_ollama_finds_the_thinking_between_these_texts() -> None:
    found = {fmt.name: capability.tags(gotemplate.template(PHI3, fmt)) for fmt in ALL}

    assert found == {
        "tags": ("<think-", "<final>"),
        "headings": ("# 思考ステップ", "# 最終回答"),
        "two_headings": ("# 思考ステップ", "# 最終回答"),
        "think": ("<think>", "</think>"),
        "none": None,
    }


def test_no_template_of_ours_spells_what_ollama_would_prefer_to_a_modelfile() -> None:
    for fmt in (replace(fmt, history=history) for fmt in ALL for history in (True, False)):
        assert capability.preferred_over_template(chat.jinja_template(PHI3, *layouts.dropping(fmt))) == ()


def test_a_base_that_drops_thinking_from_a_history_is_met_by_a_format_that_does() -> None:
    """As Qwen3's template does, whose tokens <think> and </think> are."""
    dropped = replace(THINK, history=False)
    render = equality._jinja(chat.jinja_template(PHI3, *layouts.dropping(dropped)))

    assert owntemplate.check(render, PHI3, dropped) == {}
    with pytest.raises(
        StageError, match=r"(?s)'history with thinking' otherwise.*or history: dropped, if it leaves thinking"
    ):
        owntemplate.check(render, PHI3, THINK)


# ---- engines ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=[THINK, NONE, TWO_HEADINGS], ids=lambda fmt: fmt.name)
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    from transformers import AutoTokenizer

    folder, fmt = tmp_path_factory.mktemp("layouts"), request.param
    untrained.write(folder / "model.gguf", untrained.train(folder / "tokenizer", fmt, 700), fmt)
    with Model(folder / "model.gguf", context=512, threads=1) as engine:
        engine.generate([5], 1, ())  # logits to sample from
        yield fmt, AutoTokenizer.from_pretrained(str(folder / "tokenizer"), local_files_only=True), engine


@pytest.mark.parametrize("history", [True, False], ids=["kept", "dropped"])
def test_all_engines_read_what_the_training_wrote(made: Any, history: bool, tmp_path: Path) -> None:
    fmt, tokenizer, engine = replace(made[0], history=history), *made[1:]
    formats = Formats(PHI3, fmt, direct=fmt.thinks)
    views = {
        "training": equality.training(tokenizer, formats),
        "pieces": equality.pieces(engine, tokenizer, formats),
        "template": equality.template(engine, gotemplate.template(PHI3, fmt), formats, fmt.thinks),
    }
    render = equality._jinja(chat.jinja_template(PHI3, *layouts.dropping(fmt)))

    def embedded(messages: Any, thinks: bool) -> list[int]:
        begun = chat.begun(PHI3, formats.prefill(messages, thinks))
        return equality._whole(engine, render(suite.said(messages, fmt)) + begun)

    equality.check_markers(engine, fmt)
    assert [len(engine.tokenize(token, False)) for token in fmt.tokens] == [1] * len(fmt.tokens)
    assert equality.check_answers(engine, tokenizer, formats) is False
    assert equality.check({**views, "embedded": embedded}, formats, engine).conversations == 34


def test_the_grammar_admits_what_is_composed_and_nothing_that_is_refused(made: Any) -> None:
    fmt, _, engine = made
    judge = Judge(engine, grammar(fmt))
    for thought, answer in (("考える。\n<x>", "答え\n# 課題 <b>"), ("", "a"), ("\n", "</think>"), ("x", "\n回答: \n")):
        assert judge.refused(think.compose(said(fmt, thought, answer), fmt)) is None
    for bad in ("a<think>", "<think>\n一\n</think>\n\n二</think>", "<think>\n一", "# 思考ステップ\n# 最終回答\nx"):
        with pytest.raises(FormatError):
            think.read(bad, fmt) if fmt is not NONE or "#" not in bad else think.read("<think>", fmt)
        assert judge.refused(bad) is not None or (fmt is NONE and "#" in bad)


def test_headings_are_as_they_were() -> None:
    assert HEADINGS.skipped == HEADINGS.closing == "# 最終回答\n"
    assert TAGS.skipped == TAGS.closing == "<final>"
