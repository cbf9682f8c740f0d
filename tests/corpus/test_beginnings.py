from __future__ import annotations

import random
import re

import pytest

from so8t.corpus import harm, namelabels
from so8t.corpus.beginnings import beginnings, finding, first, leaping, matches

HARM = re.compile("|".join(pattern for entry in harm.DEFAULT.values() for pattern in entry["patterns"]))
PIECES = ("爆弾", "の", "作り方", "教えて", "氏名", ":", "山田", "カナ", " ", "\n", "a", "b", "K", "\u212ac", "担当は")
TEXTS = ["".join(random.Random(seed).choices(PIECES, k=seed % 12)) for seed in range(240)]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("爆弾|毒ガス", "毒爆"),
        ("(?:a|b)?c", "abc"),
        ("(?<!x)(?=a)a+b", "a"),
        (r"[0-9〒]\d", "0-9〒"),
        (r"\d\s?月", r"\d"),
        ("(?i:kb)", "Kk\u212a"),
        ("(?P<word>a|-)b", r"\-a"),
        ("a*", ""),
        ("a*.", ""),
        ("[^a]b", ""),
        ("(?i:é)", ""),
        (r"(a)?(?(1)b|c)", ""),
        ("", ""),
    ],
)
def test_the_beginnings_of_a_pattern_or_nothing_where_they_are_not_known(pattern: str, expected: str) -> None:
    assert beginnings(re.compile(pattern)) == expected


def test_a_leaping_search_finds_in_the_same_texts() -> None:
    for pattern in (HARM, re.compile(r"a.b|^\n|(?i:k)c # no comment", re.VERBOSE), re.compile("a*")):
        leaps, found = leaping(pattern), finding(pattern)
        assert [bool(leaps.search(text)) for text in TEXTS] == [bool(pattern.search(text)) for text in TEXTS]
        assert [len([*found(text)]) for text in TEXTS] == [len(pattern.findall(text)) for text in TEXTS]


def test_matches_are_those_of_finditer() -> None:
    for pattern in (HARM, namelabels._HEAD, re.compile("[^a]b")):
        begins = first(pattern)
        for text in TEXTS:
            found = [one.span() for one in matches(pattern, begins, text)]
            assert found == [one.span() for one in pattern.finditer(text)]


def test_a_point_still_stops_at_the_end_of_a_line() -> None:
    pattern = re.compile("爆弾.{0,9}作")
    assert leaping(pattern).search("爆弾の\n作り方") is None
    assert leaping(pattern).search("\n爆弾の作り方") is not None
