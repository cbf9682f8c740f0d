"""The kinds of gates: what a kind's numbers are, the matrix that they make, its angles, and its projection.

A kind is one object in `KINDS`; layers, losses, probes, files and baking ask it and know no kind by name.
Pure functions on batches of blocks; angles are in radians, from 0 to pi, ascending.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from so8t.errors import StageError
from so8t.gate import rotation
from so8t.gate.rotation import NUMBERS, SIZE


@dataclass(frozen=True)
class Kind:
    """One kind of gate; its numbers begin at zero, where M is the identity."""

    name: str
    numbers: str  # how the parameter is called, in a model's state and in gates.safetensors
    shape: tuple[int, ...]  # of the numbers of one block
    opens: bool  # whether alpha opens it; g is 1 where it does not
    matrix: Callable[[Tensor, Tensor], Tensor]  # numbers (n, *shape), g (n, 1, 1) -> M (n, 8, 8)
    angles: Callable[[Tensor, Tensor], Tensor]  # M (n, 8, 8), g (n, 1) -> (n, 4)
    projection: Callable[[Tensor], Tensor] | None = None  # M -> the numbers of the nearest rotation; None: M is baked


def find(name: str) -> Kind:
    if name not in KINDS:
        raise StageError(f"gates.kind: {name!r} must be one of {', '.join(KINDS)}")
    return KINDS[name]


def turned(off: Tensor) -> Tensor:
    """Angles of rotations given as R - I.

    The singular values of R - I are 2 sin(angle / 2), each twice: they keep small angles' digits, and come from a
    symmetric matrix, which GPUs solve in batches, unlike R.
    """
    squares = torch.linalg.eigvalsh(off.mT @ off)[..., ::2]
    return 2 * torch.asin((squares.clamp(min=0).sqrt() / 2).clamp(max=1))


def identity(like: Tensor) -> Tensor:
    return torch.eye(SIZE, dtype=like.dtype, device=like.device)


# ---- geodesic: M = exp(g A), a rotation for every g


def _geodesic_angles(blocks: Tensor, g: Tensor) -> Tensor:
    return turned(blocks - identity(blocks))


# ---- blend: M = (1 - g) I + g exp(A), between the identity and a rotation


def _blend_angles(blocks: Tensor, g: Tensor) -> Tensor:
    """Of what a blend turns: its M - I is g (R - I)."""
    whole = turned((blocks - identity(blocks)) / g[..., None])
    return torch.atan2(g * whole.sin(), 1 - g + g * whole.cos())


# ---- free: M = I + delta, near a rotation, kept there by the orthogonality loss


def _free(delta: Tensor, g: Tensor) -> Tensor:
    return delta + identity(delta)


def _free_angles(blocks: Tensor, g: Tensor) -> Tensor:
    """Of the polar factor."""
    return turned(rotation.polar(blocks) - identity(blocks))


def _free_projection(blocks: Tensor) -> Tensor:
    return rotation.polar(blocks) - identity(blocks)


KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("geodesic", "theta", (NUMBERS,), True, rotation.geodesic, _geodesic_angles),
        Kind("blend", "theta", (NUMBERS,), True, rotation.blend, _blend_angles),
        Kind("free", "delta", (SIZE, SIZE), False, _free, _free_angles, _free_projection),
    )
}
