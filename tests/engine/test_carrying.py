"""A build that dies with its machine goes on elsewhere from the checkpoint that it left in the mirror."""

from __future__ import annotations

import shutil
import time

import pytest

from tests.house import House

STEPS = '''
"""three steps, each with a checkpoint"""
import shutil
from stages import log
from so8t.spec.fields import SpecModel
from so8t.engine.stage import Stage


class Spec(SpecModel):
    pass


def build(inputs, out, spec):
    work = out / "training"
    done = max((int(path.name.split("-")[1]) for path in work.glob("checkpoint-*")), default=0)
    for step in range(done + 1, 4):
        log.note(f"step {step}")
        (work / "part").mkdir(parents=True)
        (work / "part" / "weights").write_text(str(step))
        (work / "part").rename(work / f"checkpoint-{step}")
        log.linger("parity")
    (out / "parity.txt").write_text((work / "checkpoint-3" / "weights").read_text())
    shutil.rmtree(work)


STAGE = Stage("parity", Spec, build, takes=("numbers",), gives=("parity.txt",), resumable=True)
'''


@pytest.mark.soak
def test_what_a_machine_left_in_the_mirror_another_goes_on_from(house: House) -> None:
    mirror = house.path / "mirror"
    house.write("stages/parity.py", STEPS)
    store = f"{{mirror: 'file://{mirror.as_posix()}', trusted: any, checkpoints: 0.0005}}"
    house.write("specs/tiny/profile.yaml", f"store: {store}\n")
    house.hold("parity")
    doing = house.start("parity")
    house.wait_for("parity")
    until = time.monotonic() + 30
    while not list(mirror.glob("checkpoints/*.json")):
        assert time.monotonic() < until
        time.sleep(0.01)
    house.kill(doing)
    house.release("parity")
    there = house.copy(house.path / "there")
    shutil.rmtree(there.path / "mirror")

    run = there.doit("parity")

    assert (run.code, run.ran) == (0, ["step 2", "step 3"]), run.err
    assert "parity: the checkpoint after step 1 comes from the mirror\n" in run.err
    assert there.artifact("parity").joinpath("parity.txt").read_text() == "3"
    assert [path for path in mirror.glob("checkpoints/**/*") if path.is_file()] == []
