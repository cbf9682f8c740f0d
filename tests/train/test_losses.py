"""The loss's parts by their laws: exact gradients, means over the whole step, in every precision."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from so8t.gate import attach
from so8t.gate.orthogonality import orthogonality_loss
from so8t.train import losses
from so8t.train.conversations import Conversations, collate
from so8t.train.losses import Pass, Totals
from tests.gate.families import model, open_up
from tests.train.test_conversations import written


def counts(learned: int, triples: int) -> Totals:
    return Totals(torch.tensor(learned), torch.tensor(triples))


def test_the_task_loss_has_its_exact_gradient() -> None:
    labels = torch.tensor([1, 4, 0])
    logits = torch.randn(3, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def loss(given: Tensor) -> Tensor:
        return losses.task_loss(Pass(given, labels, torch.empty(0)), counts(7, 1))

    assert torch.autograd.gradcheck(loss, logits)
    expected = -sum(logits.log_softmax(-1)[row, label] for row, label in enumerate(labels)) / 7
    torch.testing.assert_close(loss(logits), expected)


def test_pet_has_its_exact_gradient_with_padding_and_packing() -> None:
    sequence = torch.tensor([[1, 1, 1, 2, 2, 2, 2], [1, 1, 1, 1, 0, 0, 0]])
    hidden = torch.randn(2, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()

    for form in ("l2", "huber"):

        def loss(given: Tensor, form: Any = form) -> Tensor:
            made = Pass(torch.empty(0), torch.empty(0), given)
            return losses.pet_loss(made, sequence, counts(1, 9), form, 0.7)

        assert torch.autograd.gradcheck(loss, hidden)
        (gradient,) = torch.autograd.grad(loss(hidden), hidden)
        assert gradient[1, 4:].abs().sum() == 0  # padding teaches nothing


def test_orthogonality_has_its_exact_gradient() -> None:
    made = model("phi3").double()
    gates = attach.attach(made, "all", "free")
    for gate in gates.values():
        gate.delta.data = gate.delta.data.double()
    open_up(gates, spread=0.1)
    deltas = [gate.delta for gate in gates.values()]

    def loss(*_: Tensor) -> Tensor:
        return orthogonality_loss(gates.values(), torch.zeros((), dtype=torch.float64))

    assert torch.autograd.gradcheck(loss, deltas, fast_mode=True)


@pytest.mark.parametrize("packed", [False, True])
def test_micro_batches_sum_to_the_loss_of_the_whole_step(packed: bool, tmp_path: Path) -> None:
    conversations = written(tmp_path, [9, 5, 12, 7])
    rows = [[conversations[0], conversations[1]], [conversations[2]]] if packed else [[c] for c in each(conversations)]
    made = model("phi3")

    def parts(batches: list[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
        whole = losses.totals(batches)
        passes = [losses.forward(made, batch) for batch in batches]
        task = sum(losses.task_loss(one, whole) for one in passes)
        pets = [losses.pet_loss(one, b["sequence"], whole, "l2", 1.0) for one, b in zip(passes, batches, strict=True)]
        return task, sum(pets)  # type: ignore[return-value]

    together = parts([collate(rows, 0)])
    apart = parts([collate([row], 0) for row in rows])

    for one, other in zip(together, apart, strict=True):
        torch.testing.assert_close(one, other, rtol=2e-6, atol=0)


@pytest.mark.parametrize("packed", [False, True])
def test_padding_to_a_multiple_changes_no_loss_and_no_gradient(packed: bool, tmp_path: Path) -> None:
    """Whatever stands at padding: nothing is learned there, and no token looks there."""
    conversations = written(tmp_path, [9, 5, 12, 7])
    rows = [[conversations[0], conversations[1]], [conversations[2]]] if packed else [[c] for c in each(conversations)]
    made = model("phi3")
    open_up(attach.attach(made, "all"))

    def step(fill: int, unit: int) -> list[Tensor]:
        batch = collate(rows, fill, unit)
        whole, passed = losses.totals([batch]), losses.forward(made, batch)
        task = losses.task_loss(passed, whole)
        bent = losses.pet_loss(passed, batch["sequence"], whole, "l2", 1.0)
        return [task, bent, *torch.autograd.grad(task + bent, list(made.parameters()))]

    plain, padded, otherwise = step(0, 1), step(0, 16), step(96, 16)

    assert len(plain) > 20 and all(part.abs().sum() > 0 for part in plain)
    for one, other in zip(plain, padded, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert all(torch.equal(one, other) for one, other in zip(padded, otherwise, strict=True))


def test_only_learned_positions_reach_the_vocabulary(tmp_path: Path) -> None:
    conversations = written(tmp_path, [9, 5])
    made = model("phi3")

    done = losses.forward(made, collate([[c] for c in each(conversations)], 0))
    batch = collate([[c] for c in each(conversations)], 0)
    full = made(input_ids=batch["input_ids"]).logits[:, :-1]
    learned = batch["labels"][:, 1:] != -100

    assert done.logits.shape == (8 + 4, 97) and done.labels.tolist() == batch["labels"][:, 1:][learned].tolist()
    torch.testing.assert_close(done.logits, full[learned])
    assert done.hidden.shape == (2, 9, 48)


def each(conversations: Conversations) -> list[Any]:
    return [conversations[number] for number in range(len(conversations))]
