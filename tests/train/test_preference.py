"""Learning from pairs: the losses are those of the papers, the better answer gains, and a kill changes no byte."""

from __future__ import annotations

import json
import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from so8t.formats import records
from so8t.train import pairs, run, splits
from so8t.train.job import Job, Preference
from so8t.train.losses import Pass
from so8t.train.settings import Checkpoints, Validation
from tests.train.conftest import Place
from tests.train.test_lanes import stopped_and_continued
from tests.train.test_resume import after_kills
from tests.train.test_run import changed, contents

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def begun(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter to go on from."""
    folder = tmp_path_factory.mktemp("begun")
    run.train(changed(place.job(), steps=4), folder)
    return folder


@pytest.fixture(scope="module")
def written(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pair for each of eight records: its answer, and one that answers nothing."""
    found = list(records.read(place.sft / "splits" / "train.jsonl"))[:8]
    path = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    records.write(path, (_pair(record, "わかりません。😢") for record in found))
    return path


def _pair(record: dict[str, Any], rejected: str) -> dict[str, Any]:
    *prompt, answer = record["messages"]
    return {"prompt": prompt, "chosen": answer["content"], "rejected": rejected}


def tuned(place: Place, begun: Path, written: Path, form: Any, **train: Any) -> Job:
    job = place.job(
        preference=Preference(form, 0.5, 0.0 if form == "dpo" else 1.0, written, begun),
        validation=Validation(conversations=0),
    )
    return changed(job, **{"steps": 6, "batch": 4, "micro_batch": 2, **train})


def margins(job: Job, weights: Path, work: Path) -> list[float]:
    """By how much each pair's chosen answer is the likelier one, under these weights."""
    device = torch.device("cpu")
    learner, gates = run.model(job, device)
    begun = replace(job, preference=replace(job.preference, form="dpo", start=weights))  # type: ignore[type-var]
    work.mkdir()
    data = splits.prepare(begun, work)
    trainer: Any = run._trainer(begun, learner, data, run._recipe(begun, data, device), gates, work)
    return trainer._before.tolist()


# ---- the losses


@pytest.mark.parametrize(
    ("chosen", "rejected", "expected"),
    [
        (-1.0, -1.0, math.log(2)),
        (-0.5, -2.0, 0.0967),
        (-2.0, -0.5, 2.3840),
        (-1e-8, -30.0, 0.0),
        (-30.0, -1e-8, 43.8155),
    ],
)
def test_orpo_compares_odds(chosen: float, rejected: float, expected: float) -> None:
    found = pairs.odds_ratio(torch.tensor([chosen]), torch.tensor([rejected]))

    assert found.tolist() == pytest.approx([expected], abs=1e-4)


def test_dpo_compares_with_the_beginning() -> None:
    found = pairs.direct(torch.tensor([3.0, -1.0]), torch.tensor([3.0, 1.0]), 0.5)

    assert found.tolist() == pytest.approx([math.log(2), math.log1p(math.e)])


def test_a_likelihood_is_the_sum_over_what_is_learned() -> None:
    labels = torch.tensor([[-100, -100, 1, 0], [-100, 2, -100, -100]])
    logits = torch.tensor([[0.0, 1.0, 2.0], [2.0, 0.0, 0.0], [1.0, 1.0, 3.0]])
    each = torch.log_softmax(logits, -1)

    sums, counts = pairs.likelihoods(Pass(logits, torch.tensor([1, 0, 2]), torch.zeros(0)), labels)

    assert sums.tolist() == pytest.approx([float(each[0, 1] + each[1, 0]), float(each[2, 2])])
    assert counts.tolist() == [2, 1]


@pytest.mark.soak
def test_the_losses_are_trls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")
    from types import SimpleNamespace

    from trl.experimental.orpo.orpo_trainer import ORPOTrainer

    dice = torch.Generator().manual_seed(1)
    chosen, rejected = (-torch.rand(1000, generator=dice) * 5 - 1e-3 for _ in range(2))
    theirs: Any = SimpleNamespace(beta=1.0, accelerator=SimpleNamespace(device="cpu"))

    negative, *_ = ORPOTrainer.odds_ratio_loss(theirs, chosen, rejected)

    assert torch.allclose(pairs.odds_ratio(chosen, rejected), -negative, rtol=1e-5, atol=1e-6)


# ---- the run


@pytest.mark.parametrize("form", ["orpo", "dpo"])
def test_the_better_answer_gains(place: Place, begun: Path, written: Path, tmp_path: Path, form: str) -> None:
    job = tuned(place, begun, written, form, steps=8)

    run.train(job, tmp_path / "out")

    before, after = (margins(job, folder, tmp_path / f"{folder.name}-margins") for folder in (begun, tmp_path / "out"))
    assert sum(later > earlier for earlier, later in zip(before, after, strict=True)) == 8


def test_it_goes_on_from_the_adapter(place: Place, begun: Path, written: Path, tmp_path: Path) -> None:
    """DPO's first loss is that of a coin, and with no learning the adapter stays what it was."""
    job = tuned(place, begun, written, "dpo", steps=1, learning_rate=1e-30)
    job = replace(
        job,
        gates=job.gates.model_copy(update={"learning_rate": 1e-30}),
        lora=job.lora.model_copy(update={"dropout": 0.0}),
    )

    run.train(job, tmp_path / "out")

    (sample,) = map(json.loads, (tmp_path / "out" / "monitoring" / "series.jsonl").read_text("utf-8").splitlines())
    assert sample["loss"] == pytest.approx(math.log(2), abs=1e-6)
    for name in ("adapter_model.safetensors", "gates.safetensors"):
        kept, made = load_file(begun / name), load_file(tmp_path / "out" / name)
        assert all(torch.equal(kept[each], made[each]) for each in kept)


@pytest.mark.parametrize("form", ["orpo", "dpo"])
def test_micro_batches_do_not_change_the_loss(
    place: Place, begun: Path, written: Path, tmp_path: Path, form: str
) -> None:
    job = tuned(place, begun, written, form, steps=1, batch=4)
    job = replace(job, lora=job.lora.model_copy(update={"dropout": 0.0}))

    found = [run.train(changed(job, micro_batch=size), tmp_path / str(size)).loss for size in (1, 2, 4)]

    assert found == pytest.approx([found[0]] * 3, rel=1e-5)


def test_a_pair_with_a_side_that_is_too_long_stays_out(
    place: Place, begun: Path, written: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = list(records.read(written))
    found[0]["rejected"] *= 60
    records.write(tmp_path / "pairs.jsonl", found)

    result = run.train(tuned(place, begun, tmp_path / "pairs.jsonl", "orpo", steps=1), tmp_path / "out")

    assert (result.data.conversations, result.data.too_long) == (7, 1)
    assert "preference: 1 pairs are longer than train.sequence (256) and stay out\n" in capsys.readouterr().err


def test_stopped_and_continued_it_ends_the_same(place: Place, begun: Path, written: Path, tmp_path: Path) -> None:
    job = replace(tuned(place, begun, written, "dpo", steps=12), checkpoints=Checkpoints(steps=1000))
    run.train(job, tmp_path / "whole")

    assert stopped_and_continued(job, job, tmp_path / "out") == contents(tmp_path / "whole")


@pytest.mark.soak
@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks and SIGKILL")
@pytest.mark.parametrize("form", ["orpo", "dpo"])
def test_twenty_kills_change_no_byte(place: Place, begun: Path, written: Path, tmp_path: Path, form: str) -> None:
    job = replace(tuned(place, begun, written, form, steps=10), checkpoints=Checkpoints(steps=2, keep=2))

    (runs,) = after_kills((job, tmp_path, 21, 20))

    assert sum(killed for killed, _ in runs) >= 20
    assert len({digest for _, digest in runs}) == 1
