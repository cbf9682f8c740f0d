"""The gate as a module: a block-diagonal matrix on the input of an attention output projection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from so8t.errors import StageError
from so8t.gate import rotation
from so8t.gate.blockwise import product

Kind = Literal["geodesic", "blend", "free"]
KINDS: tuple[str, ...] = get_args(Kind)
START = -5.0  # alpha before annealing: g = 0.0067


class Gate(nn.Module):
    """M on each token's blocks of eight; the parameters stay float32 whatever becomes of the model's dtype.

    geodesic: theta and alpha, M = exp(g A). blend: theta and alpha, M = (1 - g) I + g exp(A).
    free: delta, M = I + delta, without alpha. All begin as the identity.
    """

    def __init__(self, dim: int, kind: Kind = "geodesic", alpha: float = START, device: Any = None) -> None:
        super().__init__()
        if kind not in KINDS:
            raise StageError(f"gates.kind: {kind!r} is none of {', '.join(KINDS)}")
        if dim < 1 or dim % rotation.SIZE:
            raise StageError(
                f"a gate needs a dimension divisible by {rotation.SIZE}, and the input of this output projection has "
                f"{dim}: leave its layer out of gates.layers, or choose a model whose heads x head_dim divides"
            )
        self.dim, self.kind, self.blocks = dim, kind, dim // rotation.SIZE
        self._held: Tensor | None = None
        self._shared: Tensor | None = None
        if kind == "free":
            self.delta = _parameter((self.blocks, rotation.SIZE, rotation.SIZE), device)
        else:
            self.theta = _parameter((self.blocks, rotation.NUMBERS), device)
            self.alpha = _parameter((), device)
            self.set_alpha(alpha)

    def matrix(self, dtype: torch.dtype | None = None) -> Tensor:
        """M (blocks, 8, 8), computed in float64 where the device has it, given in the parameters' dtype or `dtype`."""
        return matrices([self])[0].to(dtype or next(self.parameters()).dtype)

    def forward(self, tokens: Tensor) -> Tensor:
        """Tokens (..., dim) turned, in their own dtype."""
        with torch.autocast(tokens.device.type, enabled=False):
            return product(tokens, self.matrix() if self._held is None else self._held)

    @property
    def g(self) -> float:
        """How far the gate is open, from 0 to 1; a free gate is."""
        return 1.0 if self.kind == "free" else float(torch.sigmoid(self.alpha.detach().double()))

    @torch.no_grad()
    def set_alpha(self, alpha: float) -> None:
        if self.kind != "free" and not self.alpha.is_meta:
            self.alpha.fill_(alpha)

    @torch.no_grad()
    def reset(self) -> None:
        """Back to the identity; alpha stays."""
        (self.delta if self.kind == "free" else self.theta).zero_()

    @torch.no_grad()
    def project(self) -> None:
        """Make a free gate the rotation nearest to it; the others need no projection."""
        if self.kind == "free":
            nearest = rotation.polar(self.matrix(rotation.finest(self.delta.device)))
            self.delta.copy_(nearest - torch.eye(rotation.SIZE, dtype=nearest.dtype, device=nearest.device))

    def hold(self, held: bool = True) -> None:
        """Compute M once for many forwards without gradients (`attach.held`), or let go of it."""
        self._held = self.matrix().detach() if held else None

    def share(self, matrix: Tensor | None) -> None:
        """Take what `matrices` gave as M until it is taken back (`attach.shared`)."""
        self._shared = matrix

    def extra_repr(self) -> str:
        return f"dim={self.dim}, blocks={self.blocks}, kind={self.kind}"

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
        if gates[0].kind == "free":
            delta = torch.cat([gate.delta for gate in gates]).to(finest)
            return (delta + torch.eye(rotation.SIZE, dtype=finest, device=first.device)).split(sizes)
        theta = torch.cat([gate.theta for gate in gates]).to(finest)
        openings = torch.cat([torch.sigmoid(gate.alpha.to(finest)).expand(gate.blocks) for gate in gates])
        form = rotation.geodesic if gates[0].kind == "geodesic" else rotation.blend
        return form(theta, openings[:, None, None]).split(sizes)


def alike(gates: Iterable[Gate]) -> list[list[Gate]]:
    """Gates whose matrices one exponential gives: of one kind, on one device."""
    groups: dict[tuple[str, str], list[Gate]] = {}
    for gate in gates:
        groups.setdefault((gate.kind, str(next(gate.parameters()).device)), []).append(gate)
    return list(groups.values())


def _no_coarser(before: Tensor, after: Tensor) -> Tensor:
    if after.is_floating_point() and after.itemsize < 4:
        return before.to(after.device) if not before.is_meta else torch.empty_like(before, device=after.device)
    return after


def _parameter(shape: tuple[int, ...], device: Any) -> nn.Parameter:
    return nn.Parameter(torch.zeros(shape, dtype=torch.float32, device=device))
