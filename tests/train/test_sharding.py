"""A base that is divided among processes by FSDP2 is learned on as a whole one is: to the same bytes.

The small one of these is in tests/train/test_lanes.py.
"""

from __future__ import annotations

import multiprocessing
import pickle
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from so8t.errors import StageError
from so8t.train import run
from so8t.train.job import Job
from so8t.train.kernels import PARTS, Here, choose
from so8t.train.settings import Gates, Lora, Pet, Train, Validation
from stages import adapter
from tests.conftest import ROOT
from tests.train.conftest import Place
from tests.train.test_lanes import HARD, stopped_and_continued, trained
from tests.train.test_run import changed, contents

pytestmark = pytest.mark.slow

VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "float32": ({}, {}),
    "bfloat16": ({"precision": "bfloat16"}, {"gradient_checkpointing": True}),
    "nf4": ({"quantise": "nf4", "precision": "bfloat16"}, {"gradient_checkpointing": True}),
    "packed": ({}, {"packing": True}),
    "free gates": ({"gates": Gates(orthogonality=0.1, annealing=0.0), "pet": Pet(exploration=0.5)}, {}),
    "dora": ({"lora": Lora(r=4, alpha=8, dora=True)}, {}),
}
LOOKS = Validation(every=2, conversations=4)  # where checkpoints are made, too
TRAIN = "import pickle, sys; from pathlib import Path; from so8t.train import run; "
TRAIN += "run.train(pickle.loads(Path(sys.argv[1]).read_bytes()), Path(sys.argv[2]))"


@pytest.mark.soak
@pytest.mark.parametrize("name", VARIANTS)
def test_one_two_and_four_processes_leave_the_same_bytes(wide: Place, tmp_path: Path, name: str) -> None:
    changes, train = VARIANTS[name]
    job = changed(wide.job(**changes, validation=LOOKS), **HARD, **train, lanes=4)
    whole = trained(changed(job, processes=1), tmp_path / "whole")

    found = [trained(changed(job, processes=n, shard="full"), tmp_path / str(n)) for n in (1, 2, 4)]

    assert found == [whole] * 3


@pytest.mark.soak
def test_a_divided_run_that_is_stopped_goes_on_with_a_whole_base_and_ends_the_same(
    place: Place, tmp_path: Path
) -> None:
    job = changed(place.job(validation=LOOKS), **HARD, lanes=2)
    divided, whole = changed(job, processes=2, shard="full"), changed(job, processes=1)

    expected = trained(whole, tmp_path / "in peace")

    assert stopped_and_continued(divided, whole, tmp_path / "divided first") == expected
    assert stopped_and_continued(whole, divided, tmp_path / "whole first") == expected


@pytest.mark.soak
def test_a_divided_run_that_is_killed_goes_on_in_more_processes_and_ends_the_same(wide: Place, tmp_path: Path) -> None:
    job = changed(wide.job(), **HARD, lanes=4)
    two, four = (changed(job, processes=n, shard="full") for n in (2, 4))

    killed_behind_a_checkpoint(two, tmp_path)

    assert trained(four, tmp_path / "out") == trained(changed(job, processes=1), tmp_path / "in peace")


@pytest.mark.soak
def test_a_process_that_is_killed_is_named(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = changed(place.job(), **HARD, lanes=2, processes=2, shard="full")
    looked = run.validation_loss

    def killing(trainer: Any, held_out: Any) -> float:
        multiprocessing.active_children()[0].kill()
        return looked(trainer, held_out)

    monkeypatch.setattr(run, "validation_loss", killing)
    with pytest.raises(StageError) as ended:
        run.train(job, tmp_path)

    assert str(ended.value) == (
        "lanes: a process that computed lanes ended with -9; if nothing is said above, the system had no memory for "
        "it: set processes: 1"
    )


def killed_behind_a_checkpoint(job: Job, folder: Path) -> None:
    (folder / "job").write_bytes(pickle.dumps(job))
    running = subprocess.Popen([sys.executable, "-c", TRAIN, str(folder / "job"), str(folder / "out")], cwd=ROOT)
    until = time.monotonic() + 300
    while not list((folder / "out" / "training").glob("checkpoint-*")):
        assert running.poll() is None and time.monotonic() < until
        time.sleep(0.05)
    running.kill()
    running.wait(timeout=60)
    assert "training.json" not in contents(folder / "out")


@pytest.mark.parametrize(
    ("values", "train", "said"),
    [
        (
            {"quantise": "int8"},
            {"lanes": 2},
            "int8 does not go with train.shard: full, for bitsandbytes' Linear8bitLt loses its scales when FSDP2 "
            "divides it: take nf4 or none, or train.shard: none",
        ),
        (
            {"quantise": "nf4"},
            {"lanes": 1},
            "full divides the base among the processes that compute lanes, and there is one lane: set train.lanes",
        ),
    ],
)
def test_what_cannot_be_divided_is_refused_before_anything_is_built(
    values: dict[str, Any], train: dict[str, Any], said: str
) -> None:
    spec = adapter.Spec(**values, train=Train(shard="full", **train))

    assert [str(each) for each in adapter.agrees(spec, {})] == [said]


def test_no_kernel_is_tried_on_a_part_of_a_base() -> None:
    here = Here("cuda", "phi3", "bfloat16", False, "sdpa", 64, None, True, False, ["phi3"], True, divided=True)

    why = "train.shard is full, and no GPU has the base to try them on"
    assert choose("auto", here) == dict.fromkeys(PARTS, why)


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
@pytest.mark.parametrize("quantise", ["none", "nf4"])
def test_a_base_on_two_gpus_learns_what_a_whole_one_learns(wide: Place, tmp_path: Path, quantise: Any) -> None:
    """A loss within a thousandth: a processor quantises the divided base, and kernels of cards add in any order."""
    train = {**HARD, "lanes": 2, "attention": "eager", "kernels": "off", "optimizer": "adamw"}
    job = changed(wide.job(quantise=quantise, precision="bfloat16"), **train)

    whole = run.train(changed(job, processes=1), tmp_path / "whole")
    divided = run.train(changed(job, processes=2, shard="full"), tmp_path / "divided")

    assert divided.loss == pytest.approx(whole.loss, rel=1e-3)
    assert contents(tmp_path / "divided").keys() == contents(tmp_path / "whole").keys()
