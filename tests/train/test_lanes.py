"""How many processes compute the lanes of a step changes no byte of what is trained."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from so8t.errors import StageError
from so8t.models import lanes
from so8t.models.lanes import Lanes
from so8t.train import run
from so8t.train.job import Job
from so8t.train.settings import Gates, Lora, Pet, Train
from so8t.train.trainer import WEIGHTS
from tests.conftest import ROOT
from tests.train.conftest import Place
from tests.train.equipped import equip
from tests.train.test_resume import _signal_when
from tests.train.test_run import changed, contents

pytestmark = pytest.mark.slow

HARD: dict[str, Any] = {
    "batch": 4,
    "micro_batch": 1,
    "steps": 5,
    "max_gradient": 0.05,
    "matmul": "medium",
}  # a norm that binds
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "float32": ({}, {}),
    "bfloat16": ({"precision": "bfloat16"}, {}),
    "int8": ({"quantise": "int8"}, {"gradient_checkpointing": True}),
    "nf4": ({"quantise": "nf4"}, {}),
    "packed": ({}, {"packing": True}),
    "free gates": ({"gates": Gates(orthogonality=0.1, annealing=0.0), "pet": Pet(exploration=0.5)}, {}),
    "no dropout": ({"lora": Lora(r=4, alpha=8)}, {}),
}


def trained(job: Job, out: Path) -> dict[str, bytes]:
    run.train(job, out)
    return contents(out)


def stopped_and_continued(first: Job, then: Job, out: Path) -> dict[str, bytes]:
    watcher = threading.Thread(target=_signal_when, args=(out / "training" / "series.jsonl", signal.SIGINT))
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        run.train(first, out)
    watcher.join()
    assert list((out / "training").glob("checkpoint-*"))
    return trained(then, out)


def test_two_processes_one_or_one_after_two_leave_the_same_bytes(place: Place, tmp_path: Path) -> None:
    job = changed(place.job(), **HARD, lanes=2)

    alone = trained(changed(job, processes=1), tmp_path / "one")
    others = stopped_and_continued(changed(job, processes=2), changed(job, processes=1), tmp_path / "two and one")

    assert others == alone
    assert trained(changed(job, lanes=1), tmp_path / "none") != alone


@pytest.mark.soak
@pytest.mark.parametrize("name", VARIANTS)
def test_one_two_and_four_processes_leave_the_same_bytes(wide: Place, tmp_path: Path, name: str) -> None:
    changes, train = VARIANTS[name]
    job = changed(wide.job(**changes), **HARD, **train, lanes=4)

    found = {count: trained(changed(job, processes=count), tmp_path / str(count)) for count in (1, 2, 4)}

    assert found[1] == found[2] == found[4]
    assert trained(changed(job, lanes=2, processes=2), tmp_path / "two lanes") != found[1]


@pytest.mark.soak
def test_plain_data_parallel_training_differs_with_the_processes_so_equal_lanes_say_something(
    wide: Place, tmp_path: Path
) -> None:
    job = changed(wide.job(lora=Lora(r=4, alpha=8)), **HARD)  # without dropout, whose dice differ anyway

    found = {count: plainly_parallel(job, tmp_path / str(count), count)[WEIGHTS] for count in (1, 2, 4)}

    assert len(set(found.values())) == 3
    assert found[1] == trained(job, tmp_path / "alone")[WEIGHTS]


def plainly_parallel(job: Job, out: Path, count: int) -> dict[str, bytes]:
    out.mkdir()
    (out / "job").write_bytes(pickle.dumps(job))
    argv = [sys.executable, "-m", "tests.train.plain", str(out / "job"), str(out)]
    running = [subprocess.Popen([*argv, str(rank), str(count)], cwd=ROOT) for rank in range(count)]
    assert [process.wait(timeout=300) for process in running] == [0] * count
    return contents(out / "0")


@pytest.mark.parametrize(("device", "processes"), [("cuda", 1), ("cpu", 2)])
def test_lanes_are_refused_where_they_would_not_be_computed(place: Place, device: str, processes: int) -> None:
    job = changed(place.job(), lanes=2)
    args = SimpleNamespace(device=torch.device(device), world_size=processes)
    trainer: Any = SimpleNamespace(recipe=SimpleNamespace(train=job.train), args=args)

    with pytest.raises(StageError) as refused, run.dealt(job, trainer):
        pass

    assert str(refused.value) == (
        "adapter: train.lanes: 2 is for a processor, and for processes that it starts by itself: set lanes: 1 on a GPU "
        "and under torchrun"
    )


# ---- what lanes are made of


def test_gradients_are_summed_and_every_process_sees_a_new_weight(tmp_path: Path) -> None:
    with equip(None) as (parameters, compute), Lanes(parameters, 4, 2, tmp_path / "lanes", equip, None) as dealt:
        figures = [dealt.gradients([1.0, 2.0, 3.0, 4.5], compute)]
        assert parameters[0].grad is not None and parameters[0].grad.tolist() == [10.5] * 3
        with torch.no_grad():
            parameters[1].add_(1)
        figures += [dealt.gradients([1.0, 2.0, 3.0, 4.5], compute)]

    assert figures == [[34.0] * 4, [68.0] * 4]
    assert parameters[1].tolist() == [[2.0, 2.0]] * 17 and not list(tmp_path.iterdir())


def test_a_process_that_ends_is_named_with_its_code(tmp_path: Path) -> None:
    with (
        equip(None) as (parameters, compute),
        pytest.raises(StageError) as ended,
        Lanes(parameters, 2, 2, tmp_path / "lanes", equip, 2.0) as dealt,
    ):
        dealt.gradients([1.0, 2.0], compute)

    assert str(ended.value) == (
        "lanes: a process that computed lanes ended with 7; if nothing is said above, the system had no memory for it: "
        "set processes: 1"
    )


def test_weights_in_16_bits_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StageError) as refused:
        Lanes([nn.Parameter(torch.zeros(2, dtype=torch.bfloat16))], 2, 1, tmp_path / "lanes", equip, None)

    assert str(refused.value) == "lanes: what learns must be float32, and some of it is torch.bfloat16; set lanes: 1"


@pytest.mark.parametrize(
    ("cores", "count", "threads", "expected"),
    [(2, 2, 1, 2), (2, 4, 1, 2), (3, 4, 1, 2), (1, 2, 1, 1), (2, 2, 2, 1), (8, 6, 1, 6), (1, 2, 4, 1)],
)
def test_auto_takes_as_many_processes_as_there_are_cores_for(
    monkeypatch: pytest.MonkeyPatch, cores: int, count: int, threads: int, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(cores), raising=False)

    assert lanes.processes("auto", count, threads) == expected
    assert lanes.processes(1, count, threads) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch": 8, "micro_batch": 4, "lanes": 4}, "batch 8 is not a multiple of micro_batch 4 in each of 4 lanes"),
        ({"batch": 8, "lanes": 4, "processes": 3}, "lanes: 4 do not divide among 3 processes"),
        ({"batch": 8, "processes": 2}, "lanes: 1 do not divide among 2 processes"),
    ],
)
def test_what_does_not_divide_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Train(**values)
