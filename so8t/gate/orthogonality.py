"""The orthogonality loss: how far the gates' blocks are from rotations, always part of the graph."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from so8t.gate.layer import Gate, alike, matrices
from so8t.gate.rotation import SIZE


def orthogonality_loss(gates: Iterable[Gate], like: Tensor) -> Tensor:
    """Mean over all blocks of ||MᵀM - I||_F², on the device and in the dtype of the task loss `like`.

    It has a grad_fn also where no gate is, or all are frozen: callers add and differentiate without asking.
    """
    with torch.autocast(like.device.type, enabled=False):
        # a leaf of its own: `0 * like` would be NaN where the task loss is
        total = torch.zeros((), device=like.device, requires_grad=True) * 1.0
        if together := alike(gates):
            blocks = torch.cat([m.to(like.device) for some in together for m in matrices(some)])
            eye = torch.eye(SIZE, dtype=blocks.dtype, device=blocks.device)
            total = total + (blocks.mT @ blocks - eye).square().sum((-2, -1)).mean()
        return total.to(like.dtype)
