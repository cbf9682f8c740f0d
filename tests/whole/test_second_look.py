"""What a second pair of eyes found: races between builds, bytecode, `retain` and `gc`."""

from __future__ import annotations

import os

import pytest

from so8t.engine import plan as plans
from so8t.store import artifact
from tests.house import House

pytestmark = pytest.mark.slow


def test_two_edits_of_one_second_and_one_size_are_not_mixed_up(house: House, monkeypatch) -> None:
    env = {name: value for name, value in house.env.items() if name != "PYTHONDONTWRITEBYTECODE"}
    monkeypatch.setattr(House, "env", env)
    module = house.path / "stages/arithmetic.py"
    os.utime(module, (1_500_000_000, 1_500_000_000))
    house.doit("doubled")
    house.doit("list")
    house.doit("forget", "doubled")
    house.doit("doubled")  # leaves bytecode
    house.edit("stages/arithmetic.py", "number * times", "number + times")
    os.utime(module, (1_500_000_000.5, 1_500_000_000.5))

    house.doit("list")  # remembers the plan
    assert house.doit("doubled").ran == ["doubled"]
    assert house.read("artifacts/tiny/doubled/doubled.txt") == "3\n4\n5\n"


def test_bytes_that_go_while_a_consumer_reads_do_not_make_a_wrong_result(house: House, monkeypatch) -> None:
    house.edit(
        "stages/total.py",
        '(inputs["doubled"] / "doubled.txt").read_text().split()',
        'sum((p.read_text().split() for p in inputs["doubled"].glob("*.txt")), [])',
    )
    house.doit("doubled")
    house.hold("total")
    doing = house.start("total")
    house.wait_for("total")
    monkeypatch.syspath_prepend(house.path)
    layout = plans.Layout(house.path, house.path / "artifacts", "tiny")
    artifact.drop_bytes(layout, "doubled", artifact.inspect(layout, "doubled").manifest)
    house.release("total")
    doing.communicate(timeout=60)

    assert house.doit("total").code == 0
    assert house.read("artifacts/tiny/total/total.txt") == "12\n"


def test_gc_leaves_the_unfinished_work_that_the_next_run_goes_on_from(house: House) -> None:
    house.doit("numbers")
    house.kill_in("parity", "parity")

    house.doit("gc", "--budget", "0")

    assert house.doit("parity").ran == ["parity", "parity of 2", "parity of 3"]


def test_a_file_that_no_key_knows_is_refused_where_a_build_could_read_it(house: House) -> None:
    house.doit("numbers")
    (house.artifact("numbers") / "more.txt").write_text("9")

    run = house.doit("doubled")

    assert run.code == 1
    assert (
        "artifacts/tiny/numbers/more.txt is not part of the artifact, and doubled could read it: move it away"
        in run.out
    )


def test_a_source_edited_and_edited_back_during_the_build_is_not_trusted(house: House) -> None:
    house.hold("numbers")
    doing = house.start("numbers")
    house.wait_for("numbers")
    house.edit("numbers.txt", "3", "4")
    house.edit("numbers.txt", "4", "3")
    house.release("numbers")
    said = doing.communicate(timeout=60)[1]

    assert "numbers: an input changed during the build; starting over" in said
    assert house.noted() == ["numbers", "numbers"]


def test_a_result_sealed_under_another_key_and_killed_before_its_place_is_not_lost(house: House) -> None:
    house.doit("doubled")
    house.edit("specs/tiny/doubled.yaml", "times: 2", "times: 3")
    house.doit("doubled")
    work = house.artifact(".so8t") / "work" / "doubled-0123456789abcdef"
    work.mkdir(parents=True)
    house.artifact("doubled").rename(work / "out")  # as a kill between sealing and placing leaves it
    for entry in (house.path / "artifacts/.so8t/store").rglob("*.json"):
        entry.unlink()
    house.edit("specs/tiny/doubled.yaml", "times: 3", "times: 4")
    house.doit("doubled")
    house.edit("specs/tiny/doubled.yaml", "times: 4", "times: 3")

    assert house.doit("doubled").ran == []
    assert house.read("artifacts/tiny/doubled/doubled.txt") == "3\n6\n9\n"
