"""TensorBoard itself reads what was written for it."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from so8t.errors import MissingExtra
from so8t.watch import board
from so8t.watch.board import Board

CONSTANTS = {"gated_layers": [1, 2], "decoder_layers": [0, 1, 2, 3]}
ANGLES = (torch.full((6, 4), 3.0), torch.tensor([[1.0, 2.0, 3.0, math.nan]]))
PACE = {"run": 1, "seconds": 3.0, "tokens_per_second": 250.0, "resident": 5, "tokens": 1000}


def sample(step: int) -> dict[str, Any]:
    return {
        "step": step,
        "loss": 2.0 / step,
        "phase": "exploration",
        "learning_rate": 0.5,
        "g": [0.25, 0.5],
        "logits_std": 1.5,
        "activations": [1.0, 2.0, 3.0, 4.0],
    }


def read(folder: Path) -> EventAccumulator:
    return EventAccumulator(str(folder), size_guidance={"histograms": 0}).Reload()


def test_scalars_and_histograms_come_back(tmp_path: Path) -> None:
    events = Board(tmp_path / "events", 0, CONSTANTS)
    for step in (10, 20):
        events.write(sample(step), ANGLES, PACE)
    events.close()

    found = read(tmp_path / "events")
    assert sorted(found.Tags()["scalars"]) == [
        "activations/layer 00",
        "activations/layer 01",
        "activations/layer 02",
        "activations/layer 03",
        "g/layer 01",
        "g/layer 02",
        "logits/std",
        "loss/total",
        "pace/resident",
        "pace/tokens_per_second",
        "schedule/learning_rate",
    ]
    assert [(event.step, event.value) for event in found.Scalars("loss/total")] == [
        (10, pytest.approx(0.2)),
        (20, pytest.approx(0.1)),
    ]
    assert [event.value for event in found.Scalars("g/layer 02")] == [0.5, 0.5]
    assert found.Tags()["histograms"] == ["angles/layer 01", "angles/layer 02"]
    assert found.Histograms("angles/layer 01")[0].histogram_value.num == 24
    assert found.Histograms("angles/layer 02")[1].histogram_value.num == 3  # a NaN is in no bin


def test_a_resumed_run_hides_what_was_written_beyond_its_start(tmp_path: Path) -> None:
    killed = Board(tmp_path, 0, CONSTANTS)
    for step in (10, 20, 30):
        killed.write(sample(step), ANGLES, PACE)
    killed.close()
    resumed = Board(tmp_path, 20, CONSTANTS)
    resumed.write(sample(30), ANGLES, PACE)
    resumed.close()

    assert [event.step for event in read(tmp_path).Scalars("loss/total")] == [10, 20, 30]


def test_events_that_cannot_be_written_are_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events").write_text("a file", encoding="utf-8")

    events = Board(tmp_path / "events", 0, CONSTANTS)
    events.write(sample(10), ANGLES, PACE)
    events.close()

    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and said[0].startswith("TensorBoard events are not written any more: ")


def test_a_missing_package_is_named_before_training_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    board.check()
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)

    with pytest.raises(MissingExtra) as raised:
        board.check()

    assert str(raised.value) == ("adapter.monitor.tensorboard needs tensorboard: pip install 'so8t[tensorboard]'")
