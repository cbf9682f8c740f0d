"""Fused kernels: what decides them, and that what is tried and refused leaves the model as it was."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from so8t.gate import varlen
from so8t.train import fused, kernels, run
from so8t.train.conversations import Rows
from so8t.train.job import Result
from so8t.train.kernels import Here, Kernels
from so8t.train.trainer import GatedTrainer
from tests.train.conftest import Place

CARD = Here(
    device="cuda",
    family="llama",
    precision="bfloat16",
    packing=True,
    attention="sdpa",
    row=2048,
    window=None,
    plain_head=True,
    pairs=False,
    liger={"llama", "phi3"},
    varlen=True,
)
ALL = {"norms": "", "loss": "", "attention": ""}
NO_LIGER = "liger-kernel is not installed: pip install 'so8t[cuda]' (Linux)"


@pytest.mark.parametrize(
    ("wanted", "here", "expected"),
    [
        ("auto", CARD, {}),
        ("auto", replace(CARD, device="cpu"), dict.fromkeys(ALL, "the device is cpu")),
        ("off", CARD, dict.fromkeys(ALL, "train.kernels is off")),
        ("auto", replace(CARD, liger=None), {"norms": NO_LIGER, "loss": NO_LIGER}),
        ("auto", replace(CARD, family="olmo"), {"norms": "liger-kernel does not know olmo"}),
        (
            "auto",
            replace(CARD, plain_head=False),
            {"loss": "llama does something to its logits, or its head learns or has a bias"},
        ),
        ("auto", replace(CARD, pairs=True), {"loss": "answers of a pair are compared one by one"}),
        ("auto", replace(CARD, packing=False), {"attention": "rows are not packed, and sdpa needs no mask then"}),
        ("auto", replace(CARD, attention="eager"), {"attention": "train.attention is eager"}),
        (
            "auto",
            replace(CARD, precision="float32"),
            {"attention": "its kernel takes 16 bits, and precision is float32"},
        ),
        ("auto", replace(CARD, window=512), {"attention": "the base sees 512 tokens, and a row has 2,048"}),
        ("auto", replace(CARD, window=4096), {}),
        ("auto", replace(CARD, varlen=False), {"attention": "this PyTorch has no such kernel: it came with 2.11"}),
    ],
)
def test_each_part_is_tried_or_has_its_reason(wanted: str, here: Here, expected: dict[str, str]) -> None:
    assert kernels.choose(wanted, here) == {**ALL, **expected}


def test_what_moves_too_much_is_off() -> None:
    assert kernels.verdict(0.01, 0.02) == "on"
    assert kernels.verdict(0.05, 0.02) == (
        "off: it moves loss or gradient by 5.0e-02 of their size, more than kernel_error (0.02)"
    )
    assert kernels.verdict(float("nan"), 0.02).startswith("off: it moves loss or gradient by nan")


@pytest.fixture
def trainer(place: Place, tmp_path: Path) -> GatedTrainer:
    """A run on packed rows, as far as the preflight."""
    job = place.job(train=place.job().train.model_copy(update={"packing": True, "sequence": 512}))
    data = run.splits.prepare(job, tmp_path)
    assert isinstance(data.rows, Rows)
    learner, gates = run.model(job, torch.device("cpu"))
    return GatedTrainer(learner, data.rows, run._recipe(job, data, torch.device("cpu")), gates, tmp_path)


def summed(weight: Tensor, hidden: Tensor, labels: Tensor) -> Tensor:
    """What a fused loss must give."""
    return nn.functional.cross_entropy(hidden @ weight.T, labels, reduction="sum")


def test_the_fused_loss_is_the_loss_and_has_its_gradient(trainer: GatedTrainer) -> None:
    before = fused.measured(trainer)
    trainer.kernels = Kernels(loss=summed)

    assert fused.apart(before, fused.measured(trainer)) < 1e-5


def test_a_pass_that_is_watched_has_its_logits(trainer: GatedTrainer) -> None:
    called: list[int] = []
    trainer.kernels = Kernels(loss=lambda *given: called.append(1) or summed(*given))  # type: ignore[func-returns-value]
    batch = trainer._prepare_inputs(trainer.batch([trainer.rows[0]]))
    trainer.watch_forward = lambda _: torch.no_grad()

    trainer._first = True
    *_, watched = trainer.passed(trainer.learner, batch)
    *_, fast = trainer.passed(trainer.learner, batch)

    assert (watched.summed, called) == (None, [1])
    assert fast.summed is not None and len(watched.logits) > len(fast.logits)


def test_attention_by_ends_is_tried_on_the_first_row_and_stays(trainer: GatedTrainer) -> None:
    before = fused.measured(trainer)
    varlen.register(varlen.one_by_one)

    undo = fused.packed(trainer, trainer.learner)
    after, told = fused.measured(trainer), trainer.kernels.told({**trainer.batch([trainer.rows[0]])})
    undo()

    assert fused.apart(before, after) < 1e-4
    assert told["cu_seq_lens_q"][0] == 0 and len(told["cu_seq_lens_q"]) > 2  # the row is packed
    assert trainer.kernels == Kernels()
    assert fused.apart(before, fused.measured(trainer)) == 0


def test_a_part_that_moves_too_much_or_does_not_run_is_turned_off_again(
    trainer: GatedTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fused.measured(trainer)

    monkeypatch.setattr(fused, "_liger_loss", lambda: lambda *given: 1.5 * summed(*given))
    assert fused.attempt(trainer, "loss", before, 0.02) == (
        "off: it moves loss or gradient by 5.0e-01 of their size, more than kernel_error (0.02)"
    )
    monkeypatch.setattr(fused, "_liger_loss", lambda: partial(_raise, RuntimeError("no kernel image\nmore")))
    assert fused.attempt(trainer, "loss", before, 0.02) == "off: it does not run here: no kernel image"
    monkeypatch.setattr(fused, "_liger_loss", lambda: summed)
    assert fused.attempt(trainer, "loss", before, 0.02) == "on"
    assert trainer.kernels == Kernels(loss=summed)


def _raise(error: Exception, *_: Any) -> Tensor:
    raise error


def test_norms_are_given_to_this_model_alone_and_taken_back(
    trainer: GatedTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As liger-kernel does it: a method of its own for each norm, and its class in the family's module."""
    import sys

    base = trainer.learner.get_base_model()
    family = sys.modules[type(base).__module__]
    norm = next(module for name, module in base.named_modules() if name.endswith("layernorm"))
    own = type(norm)

    def patch(_: Any) -> None:
        setattr(family, own.__name__, nn.LayerNorm)
        vars(norm)["forward"] = lambda hidden: 2 * own.forward(norm, hidden)

    before = fused.measured(trainer)
    monkeypatch.setattr(fused, "_apply", patch)

    assert fused.attempt(trainer, "norms", before, 0.02).startswith("off: it moves")
    assert getattr(family, own.__name__) is own and "forward" not in vars(norm)
    assert fused.apart(before, fused.measured(trainer)) == 0
    monkeypatch.setattr(fused, "_apply", lambda _: None)
    assert fused.attempt(trainer, "norms", before, 0.02) == "on"


def test_what_decides_is_read_off_the_run(trainer: GatedTrainer, place: Place) -> None:
    job = place.job(train=place.job().train.model_copy(update={"packing": True, "sequence": 512}))

    found = fused.here(trainer, job, None, False)

    assert (found.device, found.family, found.packing, found.row) == ("cpu", "phi3", True, 512)
    assert (found.plain_head, found.pairs, found.liger, found.varlen) == (True, False, None, False)
    assert fused.settle(trainer, job) == dict.fromkeys(kernels.PARTS, "off: the device is cpu")


def test_a_report_speaks_of_kernels_on_a_card_alone() -> None:
    counts = {"conversations": 1, "too_long": 0, "nothing_to_learn": 0, "tokens": 9, "learned": 3}
    known: dict[str, Any] = {"steps": 1, "planned": 1, "published": 1, "loss": 1.0, "validation": {}, "data": counts}
    known |= {"held_out": None, "optimizer": "adamw", "trainable": 1, "g": {}}

    assert Result.from_json(known).as_json() == known
    assert Result.from_json({**known, "kernels": {"norms": "on"}}).as_json() == {**known, "kernels": {"norms": "on"}}
