"""One batch before the first step: every parameter that shall learn gets a finite gradient, no other gets any."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from so8t.errors import StageError

_SHOWN = 3  # names in a message


def preflight(
    model: nn.Module, expected: Iterable[str], loss: Callable[[], Tensor], inputs_need_gradient: bool
) -> None:
    """Raise with the parameters' names; the model, its gradients and the random state are as before afterwards."""
    expected = set(expected)
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    _check_none("is frozen, and shall learn: something froze it after it was attached", expected - learning)
    _check_none("would learn, and shall not", learning - expected)
    if inputs_need_gradient and not _inputs_require_gradient(model):
        raise StageError(
            "adapter: preflight: the embeddings' output does not require a gradient; with gradient checkpointing or a "
            "quantised base the first layers would learn nothing: call enable_input_require_grads first"
        )
    try:
        with torch.random.fork_rng():
            loss().backward()
        _check_gradients(model, expected)
    finally:
        model.zero_grad(set_to_none=True)


def _check_gradients(model: nn.Module, expected: set[str]) -> None:
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    _check_none("received no gradient: the loss does not reach it", {n for n in expected if gradients[n] is None})
    broken = {n for n in expected if (g := gradients[n]) is not None and not bool(g.isfinite().all())}
    _check_none("received a gradient that is not finite", broken)
    _check_none("is frozen and received a gradient", {n for n, g in gradients.items() if g is not None} - expected)


def _check_none(what: str, names: set[str]) -> None:
    if names:
        first = sorted(names)[:_SHOWN]
        more = f" (and {len(names) - len(first)} more)" if len(names) > len(first) else ""
        raise StageError(f"adapter: preflight: {', '.join(first)}{more} {what}")


def _inputs_require_gradient(model: Any) -> bool:
    """Whether the embedding, which is frozen, gives outputs that require a gradient all the same."""
    embedding = model.get_input_embeddings()
    with torch.enable_grad():
        return bool(embedding(torch.zeros(1, 1, dtype=torch.long, device=embedding.weight.device)).requires_grad)
