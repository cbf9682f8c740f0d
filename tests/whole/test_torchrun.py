"""Under torchrun one process builds, the others help with the training, and all end with its exit code."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from so8t.engine import torchrun
from so8t.engine.torchrun import Place
from so8t.errors import StageError
from so8t.models import exchange, joined
from so8t.models.lanes import Lanes
from so8t.store.locks import held
from so8t.train import run
from so8t.train.settings import Train
from tests.cluster.network import HEAD, Network, NoRight
from tests.train.equipped import equip
from tests.whole.pico_models import MODELS, Chain

TWO = {
    "RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "r",
    "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500",
}  # fmt: skip
SECOND = Place(1, 2, "r", 1, 2)


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


# ---- two machines


LANES = {"micro_batch": 1, "lanes": 2, "steps": 80}


class Two(Chain):
    """A project that two machines see, each of which starts one process."""

    network: Network

    def train_in(self, processes: int | str, shard: str = "none") -> None:
        train = {**MODELS["adapter"]["train"], **LANES, "processes": processes, "shard": shard}
        self.write({"adapter": {**MODELS["adapter"], "train": train}})

    def torchrun(self, which: str, number: int, name: str) -> subprocess.Popen[str]:
        words = [
            "torch.distributed.run", "--nnodes", "2", "--node-rank", str(number), "--nproc-per-node", "1",
            "--master-addr", HEAD, "--master-port", "29500", "--rdzv-id", name, "-m", "doit", "adapter",
        ]  # fmt: skip
        with (self.path.parent / f"said-{name}-{which}").open("w") as said:
            return subprocess.Popen(
                [*self.network.into(which), sys.executable, "-m", *words], cwd=self.path, env=self.env, text=True,
                stdin=subprocess.DEVNULL, stdout=said, stderr=said,
            )  # fmt: skip

    def both(self, name: str) -> list[subprocess.Popen[str]]:
        return [self.torchrun(which, number, name) for number, which in enumerate("ab")]

    def said(self, name: str, which: str) -> str:
        return (self.path.parent / f"said-{name}-{which}").read_text("utf-8")

    def until_a_checkpoint(self, running: list[subprocess.Popen[str]]) -> None:
        work = self.path / "artifacts/tiny/.so8t/work"
        while not any(work.glob("adapter-*/out/training/checkpoint-*")):
            assert all(each.poll() is None for each in running)
            time.sleep(0.1)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Iterator[Two]:
    two = Two(tmp_path_factory.mktemp("two") / "project", root, {})
    two.train_in(1)
    try:
        two.network = Network()
    except (NoRight, FileNotFoundError) as error:
        pytest.skip(str(error))
    assert two.doit("adapter").code == 0
    yield two
    two.network.close()


@pytest.fixture
def alone(two: Two) -> Iterator[dict[str, str]]:
    """What one process made of it, which is forgotten; torchrun says from now on how many there are."""
    alone = two.digests("adapter")
    assert two.doit("forget", "adapter").code == 0
    two.train_in("auto")
    yield alone
    for which in "ab":
        two.network.empty(which)


@pytest.mark.soak
@pytest.mark.parametrize(("shard", "base"), [("none", ""), ("full", ", the base divided among them")])
def test_two_machines_train_to_the_bytes_of_one_process(two: Two, alone: dict[str, str], shard: str, base: str) -> None:
    two.train_in("auto", shard)
    running = two.both(f"shard-{shard}")  # torchrun calls a run without a name `none`

    ends = [each.wait(300) for each in running]
    said = two.said(f"shard-{shard}", "a")
    assert ends == [0, 0], said + two.said(f"shard-{shard}", "b")
    assert f"adapter: 2 lanes in 2 processes{base}\n" in said
    assert two.digests("adapter") == alone


@pytest.mark.soak
@pytest.mark.parametrize(
    ("lost", "left", "message"),
    [
        ("b", "a", "lanes: a process that computed lanes ended, or its machine did; torchrun says how\n"),
        ("a", "b", "torchrun: the process that builds was killed: run doit again to go on\n"),
    ],
    ids=["the one that helps", "the one that builds"],
)
def test_a_machine_that_dies_in_a_training_ends_the_other_and_one_process_goes_on(
    two: Two, alone: dict[str, str], lost: str, left: str, message: str
) -> None:
    running = two.both(f"lost-{lost}")
    two.until_a_checkpoint(running)
    two.network.empty(lost)

    assert [each.wait(120) for each in running] == ([-signal.SIGKILL, 1] if lost == "a" else [1, -signal.SIGKILL])
    assert message in two.said(f"lost-{lost}", left)
    two.train_in(1)
    gone_on = two.doit("adapter")
    assert gone_on.code == 0 and "adapter: going on after step " in gone_on.err
    assert two.digests("adapter") == alone


# ---- its parts


def test_a_process_knows_its_place() -> None:
    assert torchrun.place({}) is None
    assert torchrun.place({"RANK": "0", "WORLD_SIZE": "2"}) is None  # not torchrun's
    assert torchrun.place({**TWO, "WORLD_SIZE": "1"}) is None
    assert torchrun.place(TWO) == Place(1, 2, f"r-29500-{os.getppid()}", 1, 2)


def test_of_several_machines_a_run_is_known_by_its_id_alone() -> None:
    four = {**TWO, "RANK": "3", "WORLD_SIZE": "4", "TORCHELASTIC_RESTART_COUNT": "0"}

    assert torchrun.place(four) == Place(3, 4, "r-0", 1, 2, "10.0.0.1")
    with pytest.raises(torchrun.Several) as refused:
        torchrun.place({**four, "TORCHELASTIC_RUN_ID": "none"})
    assert str(refused.value) == (
        "torchrun: on several machines each run needs an --rdzv-id of its own, the same on all of them"
    )


def test_an_id_that_a_run_had_before_is_refused(tmp_path: Path) -> None:
    (tmp_path / "led").touch()

    with pytest.raises(torchrun.Several) as refused:
        torchrun.lead(tmp_path, Place(0, 2, "r-0", 0, 1, "10.0.0.1"))

    assert str(refused.value) == (
        "torchrun: there was a run with this --rdzv-id before: each needs one of its own, the same on all machines"
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

    assert torchrun.lead(tmp_path, Place(0, 2, "r", 0, 2)) == 7
    (tmp_path / "ended").rename(tmp_path / "later")
    (tmp_path / "call-0.json").touch()

    def join(call: Path, rank: int) -> None:
        heard.append((call.name, rank))
        (tmp_path / "later").rename(tmp_path / "ended")

    with held(tmp_path / "lead", ""):
        assert torchrun.follow(tmp_path, SECOND, join) == 7
    assert heard == [("call-0.json", 1)]
    assert "RANK" not in os.environ


def test_when_the_first_process_is_killed_the_others_end_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "led").touch()

    assert torchrun.follow(tmp_path, SECOND, lambda call, rank: None) == 1
    assert capsys.readouterr().err == "torchrun: the process that builds was killed: run doit again to go on\n"


def test_where_nothing_is_heard_of_the_first_process_the_others_say_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torchrun, "_PATIENCE", 0.0)

    assert torchrun.follow(tmp_path, SECOND, lambda call, rank: None) == 1
    assert capsys.readouterr().err == (
        "torchrun: nothing was heard of the process that builds for 0 s: all machines must see the project's folder "
        f"under one path, and {tmp_path} in it\n"
    )


seen: list[str | None] = []  # the GPUs that a process that helps was given


@contextmanager
def seeing(settings: None) -> Iterator[Any]:
    seen.append(os.environ.get("CUDA_VISIBLE_DEVICES"))
    with equip(settings) as found:
        yield found


@pytest.mark.parametrize("address", ["", "127.0.0.1"])
def test_who_is_called_computes_its_lanes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str) -> None:
    """On one machine, and as one of several, as often as there are trainings."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5")
    monkeypatch.setenv(torchrun.SEAT, "1")
    for name in exchange.INTERFACES:
        monkeypatch.delenv(name, raising=False)
    found: list[Any] = []
    seen.clear()

    def train() -> None:
        crew = partial(joined.call, tmp_path, address=address)
        with (
            equip(None) as (parameters, compute),
            Lanes(parameters, 2, 2, tmp_path / "l", seeing, None, "memory", crew) as dealt,
        ):
            dealt.gradients([1.0, 2.0], compute)
            assert parameters[0].grad is not None
            found.append(parameters[0].grad.tolist())

    for number in range(2):
        training = threading.Thread(target=train)
        training.start()
        while not (tmp_path / f"call-{number}.json").exists():
            training.join(0.01)
        joined.join(tmp_path / f"call-{number}.json", 1)
        training.join()

    if os.name == "posix":  # who reads the key can send this process what it runs
        assert stat.S_IMODE((tmp_path / "call-0.json").stat().st_mode) == 0o600
    assert found == [[3.0] * 3] * 2
    assert seen == ["5", "5"]
    assert os.environ["CUDA_VISIBLE_DEVICES"] == "4,5"
    assert [os.environ.get(name) for name in exchange.INTERFACES] == ["lo" if address else None] * 2


def test_a_process_that_does_not_come_and_a_name_that_leads_home_are_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(joined, "_PATIENCE", 0.01)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.1.1", 0))])

    with pytest.raises(StageError) as refused:
        joined.call(tmp_path, 2, "gloo", "node-a")
    assert str(refused.value) == (
        "lanes: other machines cannot reach node-a, for it is 127.0.1.1 on this one: give torchrun the address of "
        "this machine in the network with --local-addr, or --master-addr"
    )
    with pytest.raises(StageError) as refused:
        joined.call(tmp_path, 2, "gloo", "127.0.1.1")
    assert str(refused.value) == (
        "lanes: not all processes that torchrun started came within 0 s: all machines must see the project's folder "
        "under one path, and reach this one"
    )


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
