"""The arguments of a sweep: what a value means, and where a wrong one is."""

from __future__ import annotations

import pytest

from so8t.errors import SpecError
from so8t.runs import axes
from so8t.spec.yamltree import plain


def read(*arguments: str) -> list[tuple[str, list[object]]]:
    return [(axis.field, [plain(value) for value in axis.values]) for axis in axes.read(arguments)]


def test_values_mean_what_they_mean_in_a_spec() -> None:
    assert read("adapter.lora.r=16,64", "adapter.train.learning_rate=2e-4,'1'", "a.b=[q, v],{k: no},全部,null,..1") == [
        ("adapter.lora.r", [16, 64]),
        ("adapter.train.learning_rate", [0.0002, "1"]),
        ("a.b", [["q", "v"], {"k": "no"}, "全部", None, "..1"]),
    ]


def test_a_range_is_its_numbers_and_a_quoted_one_is_text() -> None:
    assert read("a.seed=0..2", "b.seed=-1..1,7", "c.seed='0..2'") == [
        ("a.seed", [0, 1, 2]),
        ("b.seed", [-1, 0, 1, 7]),
        ("c.seed", ["0..2"]),
    ]


AXIS = "an axis is a stage, a field of its spec and values, such as adapter.lora.r=16,64"
RANGE = "a range goes up, over at most 1,000 numbers, such as 0..2"


@pytest.mark.parametrize(
    ("arguments", "column", "said"),
    [
        (["r=16"], 1, AXIS),
        (["a..b=1"], 1, AXIS),
        (["a.b="], 1, "a.b has no value, such as a.b=1,2"),
        (["a.b=3..1"], 5, f"{RANGE} (got 3..1)"),
        (["a.b=1,0..1000"], 7, f"{RANGE} (got 0..1000)"),
        (["a.b=1,!!int 3"], 7, "tags are refused (got !!int): a spec holds plain values"),
        (["a.b=1], c: [3"], 7, "not YAML: did not find expected key while parsing a block mapping"),
        (["a.b=1", "a.b.c=2"], 1, "a.b.c is a part of a.b, which is another axis"),
    ],
)
def test_what_is_not_an_axis_is_refused_with_its_place(arguments: list[str], column: int, said: str) -> None:
    with pytest.raises(SpecError) as refused:
        axes.read(arguments)

    assert str(refused.value) == f"command line:1:{column}: {said}\n    {arguments[-1]}\n    {' ' * (column - 1)}^"


def test_values_that_close_their_list_are_refused() -> None:
    with pytest.raises(SpecError, match="values are written one after another with commas between them"):
        axes.read(["a.b=1]\nc: [3"])
