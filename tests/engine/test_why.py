"""Reasons: each difference once, old and new value, and never silence where the keys differ."""

from __future__ import annotations

import pytest

from so8t.engine.why import compare, flatten
from so8t.store.fingerprint import Fingerprint


def made(spec=None, inputs=None, code=None, packages=None, stage: str = "s") -> Fingerprint:
    return Fingerprint(stage, spec or {}, inputs or {}, code or {}, packages or {})


@pytest.mark.parametrize(
    ("old", "new", "sentences"),
    [
        (made({"a": {"b": 1}}), made({"a": {"b": 2}}), ["spec a.b: 1 -> 2"]),
        (made({"a": 1}), made({"a": 1.0}), ["spec a: 1 -> 1.0"]),
        (made({"a": 1}), made({"a": True}), ["spec a: 1 -> true"]),
        (made({"a": ["x"]}), made({"a": ["x", "y"]}), ['spec a[1]: new ("y")']),
        (made({"a": []}), made({"a": {}}), ["spec a: [] -> {}"]),
        (made({"a": "猫" * 99}), made({}), [f'spec a: gone (was "{"猫" * 56}...)']),
        (made(inputs={"x": "a" * 64}), made(inputs={"x": "b" * 64}), ["input x: aaaaaaaaaaaa -> bbbbbbbbbbbb"]),
        (made(inputs={"x": "a"}), made(inputs={"y": "a"}), ["input x: gone", "input y: new"]),
        (made(code={"m": "a"}), made(code={"m": "b"}), ["code m: changed"]),
        (made(packages={"torch": "1"}), made(packages={"torch": "2"}), ["package torch: 1 -> 2"]),
        (made(packages={"torch": "1"}), made(), ["package torch: gone (was 1)"]),
        (made(stage="a"), made(stage="b"), ['stage name: "a" -> "b"']),
        (made({"a": 1}), made({"a": 1}), []),
    ],
)
def test_a_difference_is_told_with_its_place_and_both_values(old, new, sentences: list[str]) -> None:
    assert [reason.sentence for reason in compare(old, new)] == sentences


@pytest.mark.parametrize(
    ("old", "new"), [({"a.b": 1}, {"a": {"b": 1}}), ({"a[0]": 1}, {"a": [1]}), ({"a": 0.0}, {"a": -0.0})]
)
def test_values_that_print_alike_are_not_taken_for_the_same(old: dict, new: dict) -> None:
    (reason,) = compare(made(old), made(new))

    one, other = made(old).key[:12], made(new).key[:12]
    assert reason.sentence == f"key {one} -> {other}: the same values in another form"


def test_flatten_gives_dotted_paths() -> None:
    assert flatten({"a": {"b": [1, {"c": None}], "d": {}}}) == {"a.b[0]": 1, "a.b[1].c": None, "a.d": {}}
