"""The gate as a module: a block-diagonal matrix on the input of an attention output projection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from so8t.errors import StageError
from so8t.gate import kinds, rotation
from so8t.gate.blockwise import product

START = -5.0  # alpha before annealing: g = 0.0067


class Gate(nn.Module):
    """M on each token's blocks of eight; the parameters stay float32 whatever becomes of the model's dtype.

    Its kind says what its numbers are called and which matrix they make; all kinds begin as the identity.
    """

    def __init__(self, dim: int, kind: str = "geodesic", alpha: float = START, device: Any = None) -> None:
        super().__init__()
        self.kind = kinds.find(kind)
        if dim < 1 or dim % rotation.SIZE:
            raise StageError(
                f"a gate needs a dimension divisible by {rotation.SIZE}, and the input of this output projection has "
                f"{dim}: leave its layer out of gates.layers, or choose a model whose heads x head_dim divides"
            )
        self.dim, self.blocks = dim, dim // rotation.SIZE
        self._kept: Tensor | None = None
        self._shared: Tensor | None = None
        self.register_parameter(self.kind.numbers, _parameter((self.blocks, *self.kind.shape), device))
        if self.kind.opens:
            self.alpha = _parameter((), device)
            self.set_alpha(alpha)

    @property
    def numbers(self) -> Tensor:
        found: Tensor = getattr(self, self.kind.numbers)
        return found

    def matrix(self, dtype: torch.dtype | None = None) -> Tensor:
        """M (blocks, 8, 8), computed in float64 where the device has it, given in the parameters' dtype or `dtype`."""
        return matrices([self])[0].to(dtype or next(self.parameters()).dtype)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (..., dim) turned, in their own dtype."""
        with torch.autocast(tokens.device.type, enabled=False):
            return product(tokens, self.matrix() if self._kept is None else self._kept)

    @property
    def g(self) -> float:
        """How far the gate is open, from 0 to 1; one without alpha is."""
        return float(torch.sigmoid(self.alpha.detach().double())) if self.kind.opens else 1.0

    @torch.no_grad()
    def set_alpha(self, alpha: float) -> None:
        if self.kind.opens and not self.alpha.is_meta:
            self.alpha.fill_(alpha)

    @torch.no_grad()
    def reset(self) -> None:
        """Back to the identity; alpha stays."""
        self.numbers.zero_()

    @torch.no_grad()
    def project(self) -> None:
        """Make the gate the rotation nearest to it, if its kind needs that before it is baked."""
        if self.kind.projection:
            self.numbers.copy_(self.kind.projection(self.matrix(rotation.finest(self.numbers.device))))

    def compute_once(self, once: bool = True) -> None:
        """Compute M once for many forwards without gradients (`attach.computed_once`), or let go of it."""
        self._kept = self.matrix().detach() if once else None

    def share(self, matrix: Tensor | None) -> None:
        """Take what `matrices` gave as M until it is taken back (`attach.shared`)."""
        self._shared = matrix

    def extra_repr(self) -> str:
        return f"dim={self.dim}, blocks={self.blocks}, kind={self.kind.name}"

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Gate:
        """Follow the model to its device, never to a dtype that is coarser than float32."""
        return super()._apply(lambda tensor: _no_coarser(tensor, fn(tensor)), recurse)


def matrices(gates: Sequence[Gate]) -> tuple[Tensor, ...]:
    """M of each of several gates of one kind on one device, in the finest dtype, by a single exponential."""
    if len(shared := [gate._shared for gate in gates if gate._shared is not None]) == len(gates):
        return tuple(shared)
    first = next(gates[0].parameters())
    finest = rotation.finest(first.device)
    sizes = [gate.blocks for gate in gates]
    with torch.autocast(first.device.type, enabled=False):
        numbers = torch.cat([gate.numbers for gate in gates]).to(finest)
        return gates[0].kind.matrix(numbers, openings(gates, numbers)[:, None, None]).split(sizes)


def openings(gates: Sequence[Gate], like: Tensor) -> Tensor:
    """g of each block of all the gates (blocks,), on the device and in the dtype of `like`."""
    return torch.cat([_opening(gate, like).expand(gate.blocks) for gate in gates])


def alike(gates: Iterable[Gate]) -> list[list[Gate]]:
    """Gates whose matrices one exponential gives: of one kind, on one device."""
    groups: dict[tuple[str, str], list[Gate]] = {}
    for gate in gates:
        groups.setdefault((gate.kind.name, str(next(gate.parameters()).device)), []).append(gate)
    return list(groups.values())


def _opening(gate: Gate, like: Tensor) -> Tensor:
    return torch.sigmoid(gate.alpha.to(like)) if gate.kind.opens else like.new_ones(())


def _no_coarser(before: Tensor, after: Tensor) -> Tensor:
    if after.is_floating_point() and after.itemsize < 4:
        return before.to(after.device) if not before.is_meta else torch.empty_like(before, device=after.device)
    return after


def _parameter(shape: tuple[int, ...], device: Any) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape, dtype=torch.float32, device=device))
