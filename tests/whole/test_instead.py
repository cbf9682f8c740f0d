"""A stage that a spec asks for takes its place in front of those that take another's files, and leaves it again."""

from __future__ import annotations

import json

from tests.house import House

ROUNDED = '''
"""rounded: the doubled numbers, rounded"""
from so8t.engine.stage import Stage
from so8t.spec.fields import SpecModel

class Spec(SpecModel):
    on: bool = False
    to: int = 5

def build(inputs, out, spec):
    numbers = (inputs["doubled"] / "doubled.txt").read_text("utf-8").split()
    rounded = (str(round(int(number) / spec.to) * spec.to) for number in numbers)
    (out / "doubled.txt").write_text("\\n".join(rounded) + "\\n", "utf-8")

STAGE = Stage(
    "rounded", Spec, build, takes=("doubled/doubled.txt",), gives=("doubled.txt",),
    asked=lambda spec: spec.on, instead=("doubled/doubled.txt",),
)
'''
INIT = """
from stages import card, doubled, numbers, rounded, total

STAGES = {each.name: each for each in (numbers.STAGE, doubled.STAGE, rounded.STAGE, total.STAGE, card.STAGE)}
"""


def test_what_a_spec_asks_for_stands_in_front_of_what_it_replaces(house: House) -> None:
    house.write("stages/rounded.py", ROUNDED)
    house.write("stages/__init__.py", INIT)
    house.write("specs/tiny/rounded.yaml", "to: 5\n")

    assert house.doit().ran == ["numbers", "doubled", "total", "card"]
    assert house.read("artifacts/tiny/card/card.txt") == "合計: 12\n"
    assert "rounded" not in house.doit("list").out
    before = house.digests()

    house.write("specs/tiny/rounded.yaml", "on: true\nto: 5\n")
    run = house.doit()
    assert run.ran == ["total", "card"]  # rounded keeps no log
    assert "   rounded: built in " in run.err
    assert house.read("artifacts/tiny/card/card.txt") == "合計: 10\n"
    taken = json.loads(house.read("artifacts/tiny/total/manifest.json"))["inputs"]
    assert list(taken) == ["rounded/doubled.txt"]
    assert house.doit().ran == []

    house.write("specs/tiny/rounded.yaml", "on: false\nto: 5\n")
    assert house.doit().ran == []  # the first results are restored
    assert {name: digest for name, digest in house.digests().items() if "rounded" not in name} == before


def test_a_stage_that_is_not_asked_for_says_so(house: House) -> None:
    house.write("stages/rounded.py", ROUNDED)
    house.write("stages/__init__.py", INIT)

    run = house.doit("rounded")

    assert run.code == 3
    assert run.err == "ERROR: rounded is not in this profile's graph: specs/tiny/rounded.yaml does not ask for it\n"
