"""The orthogonality loss in every mode that training has."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from so8t.gate.layer import Gate
from so8t.gate.orthogonality import orthogonality_loss
from tests.gate.families import open_up


def gate(kind: str = "free") -> Gate:
    made = Gate(16, kind)
    open_up({0: made}, spread=0.2)
    return made


def test_it_is_the_mean_over_all_blocks_of_the_squared_frobenius_norm() -> None:
    gates = [gate(), Gate(8, "free")]
    made = orthogonality_loss(gates, torch.zeros(()))

    blocks = [block for each in gates for block in each.matrix()]
    expected = sum((block.mT @ block - torch.eye(8)).square().sum() for block in blocks) / 3
    assert made.item() == pytest.approx(expected.item(), rel=1e-6)


def test_geodesic_gates_cost_nothing_but_rounding_and_blends_do() -> None:
    assert orthogonality_loss([gate("geodesic")], torch.zeros(())).item() < 1e-11
    assert orthogonality_loss([gate("blend")], torch.zeros(())).item() > 1e-2


@pytest.mark.parametrize("kind", ["free", "blend"])
def test_gradcheck(kind: str) -> None:
    made = gate(kind).double()
    names = [name for name, _ in made.named_parameters()]

    class Called(nn.Module):
        def forward(self, like: Tensor) -> Tensor:
            return orthogonality_loss([self.gate], like)

    called = Called()
    called.gate = made

    def loss(*values: Tensor) -> Tensor:
        state = {f"gate.{name}": value for name, value in zip(names, values, strict=True)}
        return torch.func.functional_call(called, state, (torch.zeros((), dtype=torch.float64),))

    assert torch.autograd.gradcheck(loss, tuple(p.detach().clone().requires_grad_() for p in made.parameters()))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
@pytest.mark.parametrize("gates", [[], ["geodesic"], ["free", "free"], ["frozen"]])
def test_it_has_a_grad_fn_dtype_and_device_of_the_task_loss_and_a_step_runs(
    dtype: torch.dtype, gates: list[str]
) -> None:
    weight = nn.Parameter(torch.ones(4, dtype=dtype))
    made = [gate("free" if kind == "frozen" else kind) for kind in gates]  # type: ignore[arg-type]
    if "frozen" in gates:
        made[0].requires_grad_(False)
    optimizer = torch.optim.SGD([weight, *(p for each in made for p in each.parameters())], lr=0.1)

    task = weight.square().sum()
    extra = orthogonality_loss(made, task)
    (task + extra).backward()
    optimizer.step()

    assert extra.grad_fn is not None
    assert (extra.dtype, extra.device, extra.shape) == (dtype, task.device, ())
    assert weight[0].item() == pytest.approx(0.8, rel=1e-2)
    assert all((p.grad is not None) == p.requires_grad for each in made for p in each.parameters())


def test_autocast_neither_coarsens_it_nor_changes_its_dtype() -> None:
    made = gate()
    plain = orthogonality_loss([made], torch.zeros(()))

    with torch.autocast("cpu", dtype=torch.bfloat16):
        task = nn.functional.linear(torch.ones(1, 8), torch.ones(1, 8)).sum()
        cast = orthogonality_loss([made], torch.zeros(()))
        assert orthogonality_loss([], task).dtype == task.dtype
        assert orthogonality_loss([], task).grad_fn is not None

    assert torch.equal(cast, plain)
    cast.backward()
    assert made.delta.grad is not None and made.delta.grad.abs().sum() > 0


def test_without_gates_it_is_zero_even_where_the_task_loss_is_not_a_number() -> None:
    assert orthogonality_loss([], torch.tensor(float("nan"))).item() == 0


def test_descending_it_leads_a_free_gate_back_to_a_rotation() -> None:
    made = gate()
    optimizer = torch.optim.SGD(made.parameters(), lr=0.2)

    for _ in range(60):
        optimizer.zero_grad()
        orthogonality_loss([made], torch.zeros(())).backward()
        optimizer.step()

    assert orthogonality_loss([made], torch.zeros(())).item() < 1e-8
