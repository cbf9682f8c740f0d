"""Whole models compared, one conversation at a time, whichever engine runs them: PyTorch or llama.cpp."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from so8t.parity.figures import Comparison, Figures

Precision = Literal["float32", "bfloat16"]
Logits = Callable[[Sequence[int]], "NDArray[np.float32]"]  # ids -> (ids, vocabulary)


def compare(reference: Logits, candidate: Logits, conversations: Mapping[str, Sequence[int]]) -> Figures:
    """Token ids by name; a conversation of fewer than two tokens says nothing and is passed over."""
    from so8t.parity.figures import figures

    return figures([_compared(reference, candidate, name, ids) for name, ids in conversations.items() if len(ids) > 1])


def _compared(reference: Logits, candidate: Logits, name: str, ids: Sequence[int]) -> Comparison:
    import torch

    from so8t.parity.figures import WINDOW, Comparison

    comparison = Comparison({name: ids})
    first, second = torch.from_numpy(reference(ids)), torch.from_numpy(candidate(ids))
    for one, other in zip(first.split(WINDOW, 1), second.split(WINDOW, 1), strict=False):
        comparison.add(one, other)
    return comparison


def longest(config: Mapping[str, Any], wish: int) -> int:
    """As far as llama.cpp and transformers mean the same: below the long factors, and within Phi-3's window.

    llama.cpp takes a rope's long factors for a long context, transformers for a long text, and llama.cpp's
    Phi-3 sees beyond the window.
    """
    rope = config.get("rope_parameters") or {}
    limits = [wish, config["max_position_embeddings"]]
    if rope.get("long_factor"):
        limits.append(rope.get("original_max_position_embeddings") or config["original_max_position_embeddings"])
    if config.get("model_type") in ("phi3", "mistral") and config.get("sliding_window"):
        limits.append(config["sliding_window"])
    return int(min(limits))


@contextmanager
def torch_model(folder: Path, precision: Precision, threads: int) -> Iterator[Logits]:
    """The checkpoint in PyTorch."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=getattr(torch, precision), local_files_only=True)
    model.eval()

    def logits(ids: Sequence[int]) -> Any:
        with torch.inference_mode():
            return model(torch.tensor([list(ids)]), use_cache=False).logits[0].float().numpy()

    yield logits
