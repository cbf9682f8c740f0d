"""Attention over packed rows without a mask: each conversation by itself, in one call of a kernel for many lengths.

Registered with transformers as `varlen`, an attention that can carry gates like any other.
Where the model is not told the conversations' ends (unpacked rows), it is `sdpa`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

NAME = "varlen"

# queries, keys, values (tokens, heads, width), ends of conversations from 0 on, the longest, scale -> like the queries
Kernel = Callable[[Tensor, Tensor, Tensor, Tensor, int, float | None], Tensor]


def ends(sequence: Tensor) -> tuple[Tensor, int]:
    """Where conversations begin and end in rows one behind another, from 0 on, and the tokens of the longest.

    `sequence` (rows, tokens) is each token's conversation in its row; padding is a piece of its own.
    """
    begins = torch.ones_like(sequence, dtype=torch.bool)
    begins[:, 1:] = sequence[:, 1:] != sequence[:, :-1]
    starts = begins.flatten().nonzero().squeeze(-1)
    found = torch.cat([starts, starts.new_tensor([sequence.numel()])]).to(torch.int32)
    return found, int(found.diff().max())


def told(sequence: Tensor) -> dict[str, Any]:
    """What transformers passes through a model to its attention."""
    found, longest = ends(sequence)
    return {"cu_seq_lens_q": found, "cu_seq_lens_k": found, "max_length_q": longest, "max_length_k": longest}


def register(kernel: Kernel) -> None:
    """Make it known to transformers, with this kernel."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(NAME, _attention(kernel))
    AttentionMaskInterface.register(NAME, _mask)


def torchs() -> Kernel | None:
    """PyTorch's own; None where this PyTorch has none that knows a causal window."""
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    if not {"window_size", "enable_gqa", "scale"} <= inspect.signature(varlen_attn).parameters.keys():
        return None

    def kernel(query: Tensor, key: Tensor, value: Tensor, cu: Tensor, longest: int, scale: float | None) -> Tensor:
        shared = query.shape[1] != key.shape[1]
        found: Any = varlen_attn(
            query, key, value, cu, cu, longest, longest, scale=scale, window_size=(-1, 0), enable_gqa=shared
        )
        return found

    return kernel


def one_by_one(query: Tensor, key: Tensor, value: Tensor, cu: Tensor, longest: int, scale: float | None) -> Tensor:
    """What a kernel must give, a conversation at a time, on any device."""
    found = []
    for start, end in zip(cu[:-1].tolist(), cu[1:].tolist(), strict=True):
        some, known, given = (part[None, start:end].transpose(1, 2) for part in (query, key, value))
        made = nn.functional.scaled_dot_product_attention(
            some, known, given, is_causal=True, scale=scale, enable_gqa=True
        )
        found.append(made[0].transpose(0, 1))
    return torch.cat(found)


def _attention(kernel: Kernel) -> Callable[..., tuple[Tensor, None]]:
    def attention(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **options: Any
    ) -> tuple[Tensor, None]:
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

        cu = options.get("cu_seq_lens_q")
        if cu is None:
            plain: tuple[Tensor, None] = ALL_ATTENTION_FUNCTIONS["sdpa"](
                module, query, key, value, attention_mask, **options
            )
            return plain
        some, known, given = (part.transpose(1, 2).flatten(0, 1) for part in (query, key, value))
        made = kernel(some, known, given, cu, options["max_length_q"], options.get("scaling"))
        return made.view(query.shape[0], query.shape[2], *made.shape[1:]), None

    return attention


def _mask(*given: Any, attention_mask: Tensor | None = None, **options: Any) -> Tensor | None:
    """None for rows without padding on the left: the ends say all, or what is causal is."""
    from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS

    if attention_mask is None:
        return None
    made: Tensor | None = ALL_MASK_ATTENTION_FUNCTIONS["sdpa"](*given, attention_mask=attention_mask, **options)
    return made
