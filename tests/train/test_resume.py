"""Pulling the plug at any moment costs nothing: the adapter is the same, byte for byte."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from so8t.store import carried
from so8t.store.mirror import Mirror
from so8t.train import run
from so8t.train.job import Job
from so8t.train.settings import Checkpoints, Gates, Validation
from tests.train.conftest import Place
from tests.train.test_run import changed, contents

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]


Order = tuple[Job, Path, int, int]  # a job, where it is trained, a seed, and how many kills


def after_kills(*orders: Order) -> list[list[tuple[int, str]]]:
    """For each order its runs: how often each was killed, and the digest of what it left."""
    place = orders[0][1] / "orders"
    place.write_bytes(pickle.dumps(orders))
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.killed", str(place)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    runs = [line.split() for line in done.stdout.splitlines()]
    return [[(int(killed), left) for of, killed, left in runs if int(of) == each] for each in range(len(orders))]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks and SIGKILL; Windows resumes in test_stopped_and_continued")
@pytest.mark.parametrize(
    ("plain", "quantised"), [pytest.param(4, 1, id="5"), pytest.param(84, 16, id="100", marks=pytest.mark.soak)]
)
def test_kills_at_random_moments_change_no_byte(place: Place, tmp_path: Path, plain: int, quantised: int) -> None:
    job = changed(place.job(validation=Validation(every=5, conversations=4, publish="best")), steps=10, packing=False)
    job = replace(job, checkpoints=Checkpoints(steps=2, keep=2))
    int8 = changed(place.job(quantise="int8"), gradient_checkpointing=True, packing=True, optimizer="adamw8bit")
    int8 = changed(int8, steps=10)

    runs, others = after_kills((job, tmp_path, 11, plain), (int8, tmp_path / "int8", 12, quantised))

    assert sum(killed for killed, _ in runs) >= plain and sum(killed for killed, _ in others) >= quantised
    assert len({digest for _, digest in runs}) == 1
    assert len({digest for _, digest in others}) == 1


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_stopped_and_continued(place: Place, tmp_path: Path, sign: int, capsys: pytest.CaptureFixture[str]) -> None:
    job = changed(place.job(checkpoints=Checkpoints(steps=1000)), steps=12)
    run.train(job, tmp_path / "whole")

    work = tmp_path / "out" / "training"
    watcher = threading.Thread(target=_signal_when, args=(work / "series.jsonl", sign))
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        run.train(job, tmp_path / "out")
    watcher.join()

    (left,) = work.glob("checkpoint-*")  # of the step that was under way
    capsys.readouterr()
    run.train(job, tmp_path / "out")
    said = capsys.readouterr().err
    assert f"adapter: going on after step {left.name.removeprefix('checkpoint-')}\n" in said
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def _signal_when(series: Path, sign: int) -> None:
    """As soon as the run has taken a sample."""
    while not series.exists() or not series.stat().st_size:
        time.sleep(0.001)
    os.kill(os.getpid(), sign)


def test_a_run_killed_before_its_results_were_in_place_only_publishes(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = place.job(
        validation=Validation(every=2, conversations=4, patience=1, publish="best"), gates=Gates(train=False)
    )
    job = changed(job, learning_rate=1e-12, steps=30)  # nothing is learned, so the second look finds no lower loss
    whole = run.train(job, tmp_path / "whole")
    assert (whole.steps, whole.published) == (4, 2)

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "_results", die)
        with pytest.raises(KeyboardInterrupt):
            run.train(job, tmp_path / "out")
    with monkeypatch.context() as patch:
        patch.setattr("so8t.train.trainer.GatedTrainer.train", die)  # no step is taken again
        again = run.train(job, tmp_path / "out")

    assert again == whole
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


def test_what_a_kill_leaves_of_a_half_written_result_is_no_part_of_the_artifact(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """safetensors writes into a file of a random name, which nobody removes after a kill."""
    job = place.job(validation=Validation(conversations=0))
    run.train(job, tmp_path / "whole")
    left = []

    def killed(_model: Any, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        left.append(folder / ".tmpDdOpIv")
        left[0].touch()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(run, "save_weights", killed)
        with pytest.raises(KeyboardInterrupt):
            run.train(job, tmp_path / "out")
    assert left[0].exists()

    run.train(job, tmp_path / "out")
    assert contents(tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.soak
def test_another_machine_goes_on_from_a_checkpoint_in_the_mirror(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it takes along is a checkpoint, its best weights and the series; the end is the same, byte for byte."""
    settings = {"checkpoints": Checkpoints(steps=2), "validation": Validation(every=2, conversations=4, publish="best")}
    job = changed(place.job(**settings), steps=10)
    run.train(job, tmp_path / "whole")
    mirror = Mirror(f"file://{tmp_path}/mirror")
    here, there = (carried.Place(mirror, "adapter", "ab" * 32, tmp_path / name / "out") for name in ("a", "b"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("so8t.train.callbacks.Finite.on_pre_optimizer_step", _fail_at(7))
        with pytest.raises(MemoryError):
            run.train(job, here.out)
    assert carried.snapshot(here.out, here.aside)
    carried.send(here, here.aside, None)

    with carried.carried(there, minutes=1.0):
        run.train(job, there.out)

    assert "adapter: going on after step 6\n" in capsys.readouterr().err
    assert contents(there.out) == contents(tmp_path / "whole")


def test_execution_settings_may_change_between_two_parts_of_a_run(place: Place, tmp_path: Path) -> None:
    """After an out-of-memory: a smaller micro-batch goes on from the same checkpoint."""
    job = changed(place.job(), steps=8)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("so8t.train.callbacks.Finite.on_pre_optimizer_step", _fail_at(5))
        with pytest.raises(MemoryError):
            run.train(job, tmp_path / "out")

    result = run.train(changed(job, micro_batch=1, gradient_checkpointing=True), tmp_path / "out")

    assert result.steps == 8
    lines = (tmp_path / "out" / "monitoring" / "series.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == len({line[:10] for line in lines}) == 6  # 1, 2, 3, 4, 6, 8


def _fail_at(step: int) -> Any:
    def fail(_self: Any, _args: Any, state: Any, *_: Any, **__: Any) -> None:
        if state.global_step == step:
            raise MemoryError("not enough memory")

    return fail
