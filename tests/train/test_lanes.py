"""How many processes compute the lanes of a step changes no byte of what is trained."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn

from so8t.errors import StageError
from so8t.models import exchange, lanes
from so8t.models.lanes import Lanes
from so8t.train import run
from so8t.train.job import Job
from so8t.train.settings import Gates, Lora, Pet, Train, Validation
from so8t.train.trainer import WEIGHTS
from stages import adapter
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


def test_one_process_or_two_after_one_leave_the_same_bytes(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The two have half of the base each, and look at validation where a checkpoint is made."""
    looks = Validation(every=2, conversations=2)
    job = changed(place.job(validation=looks), **HARD, lanes=2, gradient_checkpointing=True)
    one, two = changed(job, processes=1), changed(job, processes=2, shard="full")

    alone = trained(one, tmp_path / "one")
    others = stopped_and_continued(one, two, tmp_path / "one and 二つ")

    assert others == alone
    assert "adapter: 2 lanes in 2 processes, the base divided among them\n" in capsys.readouterr().err
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


@pytest.mark.parametrize(
    ("device", "world", "processes", "said"),
    [
        (
            "cpu",
            2,
            "auto",
            "adapter: train.lanes: 4 are computed by processes that so8t starts by itself, and WORLD_SIZE says that 2 "
            "were started: unset it, or set lanes: 1",
        ),
        (
            "cuda",
            1,
            4,
            "adapter: train.processes: 4 need a GPU each, and 1 is visible: set processes: auto",
        ),
    ],
)
def test_lanes_are_refused_where_they_would_not_be_computed(
    monkeypatch: pytest.MonkeyPatch, device: str, world: int, processes: Any, said: str
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setenv("WORLD_SIZE", str(world))

    with pytest.raises(StageError) as refused:
        run._processes(Train(batch=4, lanes=4, processes=processes), torch.device(device))

    assert str(refused.value) == said


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two GPUs")
def test_two_gpus_leave_the_bytes_of_one(wide: Place, tmp_path: Path) -> None:
    """As far as the kernels of a card repeat themselves: attention is eager here, whose do."""
    job = changed(wide.job(precision="bfloat16"), **HARD, lanes=2, attention="eager", kernels="off", optimizer="adamw")

    found = [trained(changed(job, processes=count), tmp_path / str(count)) for count in (1, 2)]

    assert found[0] == found[1]


# ---- what lanes are made of


@pytest.mark.parametrize("by", ["memory", pytest.param("gloo", marks=pytest.mark.soak)])
def test_gradients_are_summed_and_every_process_sees_a_new_weight(tmp_path: Path, by: exchange.By) -> None:
    with equip(None) as (parameters, compute), Lanes(parameters, 4, 2, tmp_path / "lanes", equip, None, by) as dealt:
        figures = [dealt.gradients([1.0, 2.0, 3.0, 4.5], compute)]
        assert parameters[0].grad is not None and parameters[0].grad.tolist() == [10.5] * 3
        for helper in multiprocessing.active_children() if os.name != "nt" else ():
            os.kill(helper.pid or 0, signal.SIGTERM)  # a cluster tells all processes of a job to end: one step more
        with torch.no_grad():
            parameters[1].add_(1)
        figures += [dealt.gradients([1.0, 2.0, 3.0, 4.5], compute)]

    assert figures == [[34.0] * 4, [68.0] * 4]
    assert parameters[1].tolist() == [[2.0, 2.0]] * 17 and not list(tmp_path.iterdir())


def test_a_gpu_alone_sums_its_lanes_slice_by_slice_as_memory_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Tried on a processor, where the sums are the same."""
    monkeypatch.setattr(exchange, "SLICE", 5)
    torch.manual_seed(0)
    given = [[torch.randn(3), torch.randn(17, 2)] for _ in range(4)]
    summed = []
    for by in ("memory", "gloo"):
        parameters = [nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(17, 2))]
        meeting = exchange.exchange(by, tmp_path / by, parameters, 4, range(4))
        meeting.begin()
        meeting.spread()
        for lane, gradients in enumerate(given):
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.grad = gradient.clone()
            meeting.put(lane)
        meeting.sum()
        meeting.end()
        summed.append([parameter.grad.clone() for parameter in parameters if parameter.grad is not None])

    assert all(torch.equal(one, other) for one, other in zip(*summed, strict=True))
    assert torch.equal(summed[0][1], given[0][1] + given[1][1] + given[2][1] + given[3][1])


@pytest.mark.parametrize(
    ("device", "has_nccl", "expected"),
    [("cpu", True, "memory"), ("cuda", True, "nccl"), ("cuda", False, "gloo"), ("cpu", False, "memory")],
)
def test_gpus_speak_nccl_and_a_processor_shares_memory(device: str, has_nccl: bool, expected: str) -> None:
    assert exchange.choose(device, has_nccl) == expected


@pytest.mark.parametrize(
    ("gpus", "count", "expected"), [(2, 4, 2), (3, 4, 2), (8, 6, 6), (1, 4, 1), (4, 1, 1), (5, 9, 3)]
)
def test_auto_takes_a_process_for_each_gpu_that_the_lanes_divide_into(gpus: int, count: int, expected: int) -> None:
    assert lanes.processes("auto", count, 64, gpus) == expected


@pytest.mark.parametrize(
    ("rank", "there_are", "expected"), [(1, None, "1"), (1, "", "1"), (0, "4, 7", "4"), (1, "4, 7", "7")]
)
def test_a_process_sees_its_own_gpu_alone(rank: int, there_are: str | None, expected: str) -> None:
    assert lanes.visible(rank, there_are) == expected


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


def test_float16_is_refused_in_lanes() -> None:
    def said(**values: Any) -> list[str]:
        return [str(each) for each in adapter.agrees(adapter.Spec(precision="float16", train=Train(**values)), {})]

    assert said(lanes=1) == []
    assert said(lanes=2) == [
        "float16 scales each loss by what earlier steps met, which a lane alone does not know: take bfloat16"
    ]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"batch": 8, "micro_batch": 4, "lanes": 4}, "batch 8 is not a multiple of micro_batch 4 in each of 4 lanes"),
        ({"batch": 8, "lanes": 4, "processes": 3}, "lanes: 4 do not divide among 3 processes"),
        ({"batch": 8, "processes": 2}, "lanes: 1 do not divide among 2 processes"),
        (
            {"sequence": 250, "pad_to_multiple_of": 16},
            "sequence 250 is not a multiple of pad_to_multiple_of 16: take 240 or 256",
        ),
    ],
)
def test_what_does_not_divide_is_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Train(**values)
