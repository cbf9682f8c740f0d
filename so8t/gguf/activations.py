"""What the columns of a model's matrices are multiplied with, measured in PyTorch.

Each conversation is computed by one thread and added in its turn, so that the sums are the same for any number of them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.gguf import names
from so8t.gguf.imatrix import Imatrix
from so8t.gguf.names import Family
from so8t.parity.engines import Precision
from so8t.store import running

if TYPE_CHECKING:
    from torch import Tensor, nn


def measure(
    folder: Path, talks: Sequence[Sequence[int]], family: Family, precision: Precision, threads: int
) -> Imatrix:
    """Over every token of every conversation; the head is left out, as llama.cpp leaves it out."""
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(str(folder), dtype=getattr(torch, precision), local_files_only=True)
    here = threading.local()
    for name, module in _linear(model, family):
        module.register_forward_pre_hook(_keeper(here, name))
    decoder = model.eval().get_decoder()

    def one(ids: Sequence[int]) -> dict[str, Tensor]:
        here.found = {}
        with torch.inference_mode():
            decoder(input_ids=torch.tensor([list(ids)]), use_cache=False)
        found: dict[str, Tensor] = here.found
        return found

    sums: dict[str, Tensor] = {}
    with ThreadPoolExecutor(threads) as pool:
        for at, found in enumerate(pool.map(one, talks), 1):
            running.tell("conversation", at, len(talks), part="imatrix")
            sums = {name: sums[name] + each if sums else each for name, each in found.items()}
    tokens = sum(map(len, talks))
    squares = {name: (total / tokens).float().numpy() for name, total in sums.items()}
    return Imatrix(squares, tokens, len(talks), max(map(len, talks)))


def _linear(model: nn.Module, family: Family) -> Iterator[tuple[str, nn.Linear]]:
    """Each matrix inside the layers, by the name that its weight has in a GGUF."""
    from torch import nn

    inside = [each for each in model.named_modules() if isinstance(each[1], nn.Linear) and ".layers." in each[0]]
    for name, module in inside:
        if made := names.conversion(f"{name}.weight", family):
            yield made.name, module


def _keeper(here: threading.local, name: str) -> Callable[[nn.Module, Any], None]:
    import torch

    def keep(_module: nn.Module, given: Any) -> None:
        here.found[name] = given[0][0].float().square().sum(0, dtype=torch.float64)  # (columns,)

    return keep
