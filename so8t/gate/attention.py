"""transformers' attention interface with gates: a base attention function, then `module.so8_gate` on its output.

No model code is copied or patched: models look their attention function up by name at each call, and find ours.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from so8t.errors import StageError
from so8t.gate import varlen

PREFIX = "so8t_"
BASES = ("sdpa", "eager")  # flash and flex attention choose kernels by the configured name, which ours is not


def base_of(name: str | None) -> str:
    """The implementation below: `sdpa` for `so8t_sdpa` and for `sdpa`."""
    return (name or "sdpa").removeprefix(PREFIX)


def register(base: str) -> str:
    """Make `so8t_<base>` known to transformers, with the base's masks; its name."""
    from transformers import AttentionInterface, AttentionMaskInterface
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    if base not in (*BASES, varlen.NAME):
        raise StageError(
            f"attention implementation {base!r} cannot carry gates: load the model with attn_implementation="
            + " or ".join(f'"{known}"' for known in BASES)
        )
    AttentionInterface.register(PREFIX + base, _gated(base))
    AttentionMaskInterface.register(PREFIX + base, ALL_MASK_ATTENTION_FUNCTIONS[base])
    return PREFIX + base


def _gated(base: str) -> Callable[..., tuple[Tensor, Tensor | None]]:
    def attention(module: nn.Module, *inputs: Any, **options: Any) -> tuple[Tensor, Tensor | None]:
        output, weights = _function(base, module)(module, *inputs, **options)  # (batch, tokens, heads, head_dim)
        gate = getattr(module, "so8_gate", None)
        if gate is None:
            return output, weights
        return gate(output.flatten(-2)).view(output.shape), weights

    return attention


def _function(base: str, module: nn.Module) -> Callable[..., tuple[Tensor, Tensor | None]]:
    """The model family's own eager function (Gemma 2's has a soft cap), or the shared one of that name."""
    from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

    if base != "eager":
        shared: Callable[..., tuple[Tensor, Tensor | None]] = ALL_ATTENTION_FUNCTIONS[base]
        return shared
    for kind in type(module).__mro__:
        own = getattr(sys.modules[kind.__module__], "eager_attention_forward", None)
        if own is not None:
            found: Callable[..., tuple[Tensor, Tensor | None]] = own
            return found
    raise StageError(f'{type(module).__name__} has no eager attention of its own: use attn_implementation="sdpa"')
