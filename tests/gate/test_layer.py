"""The gate as a module: precision, kinds, errors."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from so8t.errors import StageError
from so8t.gate.kinds import KINDS
from so8t.gate.layer import Gate
from tests.gate.families import open_up

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kind", KINDS)
def test_a_new_gate_is_exactly_the_identity(kind: str) -> None:
    gate = Gate(64, kind, alpha=3.0)
    tokens = torch.randn(2, 5, 64)

    assert torch.equal(gate.matrix(), torch.eye(8).expand(8, 8, 8))
    assert torch.equal(gate(tokens), tokens)


@pytest.mark.parametrize("dim", [0, 4, 12, 100])
def test_a_dimension_that_eight_does_not_divide_is_named(dim: int) -> None:
    with pytest.raises(StageError) as error:
        Gate(dim)

    assert str(error.value) == (
        "a gate needs a dimension divisible by 8, and the input of this output projection has "
        f"{dim}: leave its layer out of gates.layers, or choose a model whose heads x head_dim divides"
    )


def test_an_unknown_kind_is_named() -> None:
    with pytest.raises(StageError, match=r"^gates.kind: 'linear' must be one of geodesic, blend, free$"):
        Gate(64, "linear")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_stay_float32_whatever_becomes_of_the_model(kind: str) -> None:
    model = nn.Sequential(nn.Linear(64, 64), Gate(64, kind))
    open_up({0: model[1]}, spread=1 / 3)
    before = {name: value.clone() for name, value in model[1].state_dict().items()}

    for change in (nn.Module.half, nn.Module.bfloat16, lambda m: m.to("cpu", torch.float16), nn.Module.float):
        change(model)

    assert {value.dtype for value in model[1].state_dict().values()} == {torch.float32}
    assert all(torch.equal(value, before[name]) for name, value in model[1].state_dict().items())
    assert model.double()[1].matrix().dtype == torch.float64


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_tokens_keep_their_dtype_and_shape(dtype: torch.dtype) -> None:
    gate = Gate(64)
    open_up({0: gate})

    assert gate(torch.ones(2, 3, 64, dtype=dtype)).dtype == dtype
    assert gate(torch.ones(64, dtype=dtype)).shape == (64,)


def test_autocast_does_not_coarsen_the_matrix_nor_float32_tokens() -> None:
    gate, tokens = Gate(64), torch.randn(3, 64)
    open_up({0: gate})
    matrix, turned = gate.matrix(), gate(tokens)

    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(gate.matrix(), matrix)
        assert torch.equal(gate(tokens), turned)


def test_g_opens_with_alpha() -> None:
    assert Gate(8).g == pytest.approx(0.0066928509)
    assert Gate(8, alpha=0.0).g == 0.5
    assert Gate(8, "free").g == 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_gradcheck_of_the_whole_gate(kind: str) -> None:
    gate = Gate(16, kind).double()
    open_up({0: gate})
    tokens = torch.randn(3, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(0), requires_grad=True)
    names = [name for name, _ in gate.named_parameters()]

    def run(tokens: torch.Tensor, *values: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(gate, dict(zip(names, values, strict=True)), (tokens,))

    assert torch.autograd.gradcheck(run, (tokens, *(p.detach().clone().requires_grad_() for p in gate.parameters())))


def test_a_free_gate_is_projected_to_a_rotation() -> None:
    gate = Gate(64, "free")
    open_up({0: gate}, spread=0.1)

    gate.project()

    matrix = gate.matrix(torch.float64)
    assert (matrix.mT @ matrix - torch.eye(8)).abs().max() < 1e-6  # delta is stored in float32
    assert (torch.linalg.det(matrix) > 0.999).all()


@pytest.mark.parametrize("kind", ["geodesic", "blend"])
def test_the_other_kinds_need_no_projection(kind: str) -> None:
    gate = Gate(64, kind)
    open_up({0: gate})
    before = copy.deepcopy(gate).matrix()

    gate.project()

    assert torch.equal(gate.matrix(), before)


def test_a_matrix_computed_once_is_the_same_and_let_go_again() -> None:
    gate, tokens = Gate(64), torch.randn(3, 64)
    open_up({0: gate})
    turned = gate(tokens)

    gate.compute_once()
    assert torch.equal(gate(tokens), turned)
    gate.compute_once(False)
    gate.reset()
    assert torch.equal(gate(tokens), tokens)


def test_geodesic_keeps_norms_and_blend_shrinks_them() -> None:
    tokens = torch.randn(50, 64, dtype=torch.float64)
    turning, shrinking = Gate(64, "geodesic").double(), Gate(64, "blend").double()
    open_up({0: turning}, 0.0)
    open_up({0: shrinking}, 0.0)

    assert (turning(tokens).norm(dim=1) / tokens.norm(dim=1) - 1).abs().max() < 1e-14
    assert (shrinking(tokens).norm(dim=1) / tokens.norm(dim=1)).max() < 1
