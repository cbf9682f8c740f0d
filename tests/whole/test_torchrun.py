"""Under torchrun one process builds, the others help with the training, and all end with its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from so8t.engine import torchrun
from so8t.errors import StageError
from so8t.models import joined
from so8t.models.lanes import Lanes
from so8t.store.locks import held
from so8t.train import run
from so8t.train.settings import Train
from tests.train.equipped import equip
from tests.whole.pico_models import MODELS, Chain

TWO = {"RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "r", "MASTER_PORT": "29500"}


@pytest.fixture(scope="module")
def namespace() -> list[str]:
    """The words before a command that has a loopback of its own: torchrun's store listens on every interface."""
    words = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
    if sys.platform != "linux" or subprocess.run([*words, "true"], check=False, timeout=30).returncode:
        pytest.skip("needs the right to make a network namespace: run it as root on Linux")
    return words


@pytest.mark.soak
def test_a_build_under_torchrun_trains_in_all_processes_to_the_same_bytes(
    tmp_path: Path, root: Path, namespace: list[str]
) -> None:
    chain = Chain(tmp_path / "project", root, {})
    train = {**MODELS["adapter"]["train"], "micro_batch": 1, "lanes": 2}
    torchruns = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "doit", "adapter"]

    def under_torchrun() -> tuple[int, str]:
        words = [*namespace, sys.executable, "-m", *torchruns]
        done = subprocess.run(
            words, cwd=chain.path, env=chain.env, capture_output=True, text=True, encoding="utf-8", timeout=600
        )
        return done.returncode, done.stdout + done.stderr

    assert chain.doit_with({"adapter": {**MODELS["adapter"], "train": {**train, "processes": 1}}}, "adapter").code == 0
    alone = chain.digests("adapter")
    assert chain.doit("forget", "adapter").code == 0
    chain.write({"adapter": {**MODELS["adapter"], "train": {**train, "shard": "full"}}})
    code, said = under_torchrun()

    assert (code, said.count("adapter: 2 lanes in 2 processes, the base divided among them\n")) == (0, 1)
    assert chain.digests("adapter") == alone
    assert under_torchrun()[0] == 0  # with nothing to do

    chain.write({"adapter": {**MODELS["adapter"], "train": {**train, "lanes": 1}}})
    code, said = under_torchrun()
    assert code == 1 and "train.lanes: 1 do not divide among the 2 processes that torchrun started" in said


# ---- its parts


def test_a_process_knows_its_place() -> None:
    assert torchrun.place({}) is None
    assert torchrun.place({"RANK": "0", "WORLD_SIZE": "2"}) is None  # not torchrun's
    assert torchrun.place({**TWO, "WORLD_SIZE": "1"}) is None
    assert torchrun.place(TWO) == torchrun.Place(1, 2, f"r-29500-{os.getppid()}")


def test_several_machines_are_refused() -> None:
    with pytest.raises(torchrun.Several) as refused:
        torchrun.place({**TWO, "WORLD_SIZE": "4"})

    assert str(refused.value) == (
        "torchrun: 2 of 4 processes are on this machine, and gradients are exchanged on one alone: start all of them "
        "on one"
    )


def test_the_first_process_builds_as_if_it_were_alone_and_the_others_end_with_its_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    told = "e['SO8T_TOGETHER_PROCESSES'] == '2' and 'RANK' not in e"
    script = f"import os; e = os.environ; raise SystemExit(7 if {told} else 1)"
    monkeypatch.setattr(sys, "orig_argv", [sys.executable, "-c", script])
    for name, value in TWO.items():
        monkeypatch.setenv(name, value)
    heard: list[tuple[str, int]] = []

    assert torchrun.lead(tmp_path, 2) == 7
    (tmp_path / "ended").rename(tmp_path / "later")
    (tmp_path / "call-0.json").touch()

    def join(call: Path, rank: int) -> None:
        heard.append((call.name, rank))
        (tmp_path / "later").rename(tmp_path / "ended")

    with held(tmp_path / "lead", ""):
        assert torchrun.follow(tmp_path, 1, join) == 7
    assert heard == [("call-0.json", 1)]
    assert "RANK" not in os.environ


def test_when_the_first_process_is_killed_the_others_end_with_1(tmp_path: Path) -> None:
    (tmp_path / "led").touch()

    assert torchrun.follow(tmp_path, 1, lambda call, rank: None) == 1


def test_who_is_called_computes_its_lanes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    found: list[Any] = []

    def train() -> None:
        crew = partial(joined.call, tmp_path)
        with (
            equip(None) as (parameters, compute),
            Lanes(parameters, 2, 2, tmp_path / "l", equip, None, "memory", crew) as dealt,
        ):
            dealt.gradients([1.0, 2.0], compute)
            assert parameters[0].grad is not None
            found.append(parameters[0].grad.tolist())

    training = threading.Thread(target=train)
    training.start()
    while not (tmp_path / "call-0.json").exists():
        training.join(0.01)
    joined.join(tmp_path / "call-0.json", 1)
    training.join()

    assert found == [[3.0] * 3]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "5"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (
            {"lanes": 3},
            "adapter: train.lanes: 3 do not divide among the 2 processes that torchrun started: set lanes: 2, or a "
            "multiple of it",
        ),
        (
            {"lanes": 4, "processes": 4},
            "adapter: train.processes: 4 is not what torchrun started, which is 2: set auto",
        ),
    ],
)
def test_lanes_must_divide_among_what_torchrun_started(
    monkeypatch: pytest.MonkeyPatch, values: dict[str, Any], said: str
) -> None:
    import torch

    monkeypatch.setenv(torchrun.WORLD, "2")

    with pytest.raises(StageError) as refused:
        run._processes(Train(batch=12, **values), torch.device("cpu"))

    assert str(refused.value) == said
