"""The screen of `doit plan`, and what it says against a build."""

from __future__ import annotations

import pytest

from so8t.planning import outline
from so8t.planning.outline import Ahead, Machine
from tests.house import House

GIB = 1 << 30
HERE = Machine(38.0 * GIB, 24.0 * GIB)
STAGES = [
    Ahead("raw", "current"),
    Ahead("thinking_sft", "restored", seconds=0.0),
    Ahead("base_model", "built", 0.5 * GIB),
    Ahead("adapter", "built", 40_000_000.0, 4.0 * GIB, 1200.0),
]
BY_SHAPE = [
    Ahead("adapter", "built", 1.0 * GIB, 30.0 * GIB, None, "set train.micro_batch: 1, then it is 9.0 GiB"),
    Ahead("gguf", "built", 2.0 * GIB, 25.0 * GIB, 60.0, "set parity.precision: bfloat16 in gguf.yaml"),
]


def test_the_screen() -> None:
    assert list(outline.lines("smol", STAGES, HERE)) == [
        "smol: 4 stages: 1 up to date, 1 to be restored, 2 to be built",
        "                  will be        disk     memory      time",
        "thinking_sft      restored                            0:00",
        "base_model        built       512 MiB",
        "adapter           built      38.1 MiB    4.0 GiB     20:00",
        "in all                        550 MiB    4.0 GiB",
        "there is                     38.0 GiB   24.0 GiB",
        "memory and time are those of this profile's last build here; a first build has none",
    ]
    assert list(outline.lines("smol", STAGES[:1], HERE)) == [
        "smol: 1 stages: 1 up to date, 0 to be restored, 0 to be built"
    ]


def test_a_machine_that_is_too_small_is_told_what_it_lacks() -> None:
    assert outline.problems(STAGES, HERE) == []
    assert outline.problems(STAGES, Machine(0.25 * GIB, 3.0 * GIB)) == [
        "disk: 550 MiB are needed, and 256 MiB are free: free some, or set retain: manifest for stages that are no "
        "longer read",
        "adapter: 4.0 GiB of memory were needed last time, and the machine has 3.0 GiB",
    ]


def test_memory_that_follows_from_shapes_is_told_as_that() -> None:
    assert list(outline.lines("smol", BY_SHAPE, HERE)) == [
        "smol: 2 stages: 0 up to date, 0 to be restored, 2 to be built",
        "                  will be        disk     memory      time",
        "adapter           built       1.0 GiB   30.0 GiB",
        "gguf              built       2.0 GiB   25.0 GiB      1:00",
        "in all                        3.0 GiB   30.0 GiB",
        "there is                     38.0 GiB   24.0 GiB",
        "memory follows from the shapes of the models, to about 20 %",
        "time is that of this profile's last build here; a first build has none",
    ]


def test_memory_stops_a_build_where_it_is_too_little_even_if_the_estimate_is_a_fifth_too_high() -> None:
    assert list(outline.too_small(BY_SHAPE, HERE)) == outline.problems(BY_SHAPE, HERE)
    assert outline.problems(BY_SHAPE, HERE) == [
        "adapter: about 30.0 GiB of memory are needed, by its shapes, and the machine has 24.0 GiB: "
        "set train.micro_batch: 1, then it is 9.0 GiB"
    ]
    assert list(outline.too_small(STAGES, Machine(38.0 * GIB, 3.0 * GIB))) == []


@pytest.mark.slow
def test_a_build_that_took_longer_than_the_specs_minutes_is_told_before_it_begins(built: House) -> None:
    built.write("specs/tiny/profile.yaml", "notify: {minutes: 0.0001, bell: false}\n")
    built.edit("specs/tiny/doubled.yaml", "times: 2", "times: 3")

    run = built.doit()
    again = built.doit()

    first, columns, *rows = run.err.splitlines()[:7]
    assert first == "tiny: 5 stages: 2 up to date, 0 to be restored, 3 to be built"
    assert columns == "                  will be        disk     memory      time"
    assert [row.split()[:2] for row in rows] == [
        ["doubled", "built"],
        ["total", "built"],
        ["card", "built"],
        ["in", "all"],
        ["there", "is"],
    ]
    assert (run.code, again.code, again.err) == (0, 0, "")


@pytest.mark.slow
def test_what_stands_below_a_stage_to_be_built_is_built_and_below_a_restored_one_restored(built: House) -> None:
    built.edit("specs/tiny/doubled.yaml", "times: 2", "times: 3")
    there = built.doit("plan").out.splitlines()
    built.doit()
    built.edit("specs/tiny/doubled.yaml", "times: 3", "times: 2")
    back = built.doit("plan").out.splitlines()

    assert there[0] == "tiny: 5 stages: 2 up to date, 0 to be restored, 3 to be built"
    assert back[0] == "tiny: 5 stages: 2 up to date, 3 to be restored, 0 to be built"
    assert [line.split()[:2] for line in back[2:5]] == [
        ["doubled", "restored"],
        ["total", "restored"],
        ["card", "restored"],
    ]


@pytest.mark.slow
def test_a_build_is_told_before_and_after_it(house: House) -> None:
    before = house.doit("plan")
    house.doit()
    after = house.doit("plan")

    assert (before.code, after.code, before.ran, after.ran) == (0, 0, [], [])
    assert before.out.splitlines()[0].endswith("0 up to date, 0 to be restored, 5 to be built")
    assert after.out.splitlines() == [before.out.splitlines()[0].replace("0 up", "5 up").replace("5 to be", "0 to be")]
