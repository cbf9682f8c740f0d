"""The page: one whole HTML file, where every number leads to its source and no text is markup."""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from so8t.report import page, words
from tests.report.made import HOSTILE, facts, samples
from tests.report.outline import Outline


@pytest.fixture(scope="module")
def text() -> str:
    return page.render(facts())


@pytest.fixture(scope="module")
def outline(text: str) -> Outline:
    return Outline(text)


def test_the_page_is_whole_and_its_ids_are_unique(text: str, outline: Outline) -> None:
    assert text.lstrip().startswith("<!doctype html>")
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))


def test_a_link_within_the_page_leads_somewhere(outline: Outline) -> None:
    assert {link[1:] for link in outline.links if link.startswith("#")} <= set(outline.ids)


def test_nothing_is_loaded_from_elsewhere(outline: Outline, text: str) -> None:
    assert outline.addresses == ["data:,"]
    assert "default-src 'none'" in text
    assert not re.search(r"@import|url\(", text)


def test_a_text_never_becomes_markup(text: str) -> None:
    assert HOSTILE not in text
    assert "<img" not in text
    assert text.count("</script>") == 2


def test_a_headline_leads_to_its_file_and_record(outline: Outline) -> None:
    assert ("83.3 %", "evaluation/scores.json: splits.test.f16.accuracy") in outline.sources
    assert ("14", "raw/stats.json: *.records") in outline.sources
    assert ("2,885,888", "base_model/base.json: parameters") in outline.sources


def test_a_base_without_a_valid_answer_does_not_look_safe(text: str) -> None:
    assert "the base gives no valid answer" in text
    assert text.count("no answer</span>") == 2  # harmful helped, harmless refused


def test_a_tiny_base_proves_plumbing_and_another_base_does_not_say_so() -> None:
    other = {**facts().documents, "base_model/base.json": {"source": "hub", "architecture": "A", "parameters": 1}}

    assert "This proves plumbing, not intelligence." in page.render(facts())
    assert "This proves plumbing, not intelligence." not in page.render(facts(documents=other))


def test_a_value_says_where_it_is_written_and_what_the_parent_says(text: str) -> None:
    assert '<a href="../../../specs/own/cleaned.yaml">specs/own/cleaned.yaml:4</a>' in text
    row = re.search(r'<tr class="differs">.*?</tr>', text, re.DOTALL)
    assert row and "<code>8</code>" in row[0]


def test_every_answer_is_in_the_page_and_each_text_once(text: str) -> None:
    found: Any = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    table = json.loads(found[1])

    assert len(table["rows"]) == 36
    assert len(table["strings"]) == len(set(table["strings"]))
    assert table["names"]["said"] == ["ESCALATION", "DENY", "REFUSE", "ALLOW"]
    assert [row[-1] & 1 for row in table["rows"]][:6] == [1, 1, 1, 1, 1, 0]  # wrong answers of tuned models first


def test_a_profile_of_which_nothing_was_built_is_told_so() -> None:
    from dataclasses import replace

    bare = [replace(stage, made=None, built=None) for stage in facts().stages]
    text = page.render(facts(stages=tuple(bare), documents={}, samples=[], questions={}, dropped={}))

    assert Outline(text).open == []
    assert "No evaluation was found" in text
    assert "No records were counted" in text


def test_a_report_of_the_size_of_tiny_is_small_and_soon_made() -> None:
    many = [{**one, "id": f"{at}-{one['id']}", "text": f"{one['text']}{at}"} for at in range(96) for one in samples()]
    begun = time.process_time()

    text = page.render(facts(samples=many, questions={one["id"]: f"質問 {one['id']}" for one in many}))

    assert len(many) == 3456  # tiny asks 3,432
    assert len(text.encode()) < 8_000_000
    assert time.process_time() - begun < 5


def test_equal_values_give_equal_pages(text: str) -> None:
    assert page.render(facts()) == text


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (words.share(0.958333), "95.8 %"), (words.share(None), "–"), (words.interval([0.9332, 0.9833]), "93.3–98.3"),
        (words.size(999), "999 B"), (words.size(11_546_448), "11.5 MB"), (words.seconds(64.594), "1 min 5 s"),
        (words.seconds(3.21), "3.2 s"), (words.seconds(7300), "2 h 1 min"), (words.number(2592), "2,592"),
        (words.number(4.196e-7), "4.2 × 10⁻⁷"), (words.number(0.02136), "0.02136"), (words.number(23.97), "23.97"),
        (words.number(0.0), "0"), (words.number(None), "–"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_people_read_them(shown: str, expected: str) -> None:
    assert shown == expected
