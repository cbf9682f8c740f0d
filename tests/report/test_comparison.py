"""The page of a comparison: whole, readable without scripts, and exactly what differs."""

from __future__ import annotations

import re

import pytest

from so8t.runs.differences import Answer, Differences
from tests.report.made import HOSTILE, comparison_page
from tests.report.outline import Outline


@pytest.fixture(scope="module")
def text() -> str:
    return comparison_page()


def test_the_page_is_whole_has_no_script_and_loads_nothing(text: str) -> None:
    outline = Outline(text)

    assert text.lstrip().startswith("<!doctype html>")
    assert outline.open == []
    assert outline.addresses == ["data:,"]
    assert {link[1:] for link in outline.links} <= set(outline.ids)
    assert "<script" not in text
    assert HOSTILE not in text


def test_it_names_what_differs_and_nothing_else(text: str) -> None:
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall(r'<tr><th scope="row".*?</tr>', text)]

    assert [rows[0], rows[1][:5], *rows[2:]] == [
        ["adapter", "lora.r", "16", "64"],
        ["adapter", "note", "is", "not", "there"],
        ["test.f16.accuracy", "75.0", "%", "87.5", "%", "+12.5"],
        ["test.f16.leaks", "0", "2", "+2"],
        ["test.f16.loss", "1.25", "0.5", "-0.75"],
    ]
    assert 'code so8t.train.run: changed <span class="quiet">(adapter, curves)</span>' in text
    assert re.findall(r"<code>([+−~] \w+)</code>", text) == ["+ new1", "− old1", "~ other1", "~ other2"]


def test_answers_stand_under_their_question_and_those_of_the_same_class_apart(text: str) -> None:
    assert text.count("<article") == 2
    assert "1 better, 1 otherwise wrong, 1 other words" in text


def test_conversations_without_classes_have_no_badge() -> None:
    talk = Answer("test f16", "r1", None, None, None, ("月末です。", "月末までです。"))

    text = comparison_page(Differences((), (), (), (talk,)))

    assert "1 in other words</summary>" in text
    assert 'class="badge' not in text
    assert "into another class" not in text
