"""Held-out conversations as token ids, and the model that was trained on others, for llama.cpp to be compared with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from so8t.errors import StageError
from so8t.formats import records
from so8t.formats.chat import ChatFormat, segments
from so8t.parity.engines import Logits

Precision = Literal["float32", "bfloat16"]


def texts(folder: Path, splits: Sequence[Path], fmt: ChatFormat, count: int, longest: int) -> list[list[int]]:
    """The first `count` conversations of each split, cut to `longest` tokens."""
    from transformers import AutoTokenizer

    from so8t.formats.encoding import Encoder

    encoder = Encoder(AutoTokenizer.from_pretrained(str(folder), local_files_only=True))
    found = []
    for split in splits:
        conversations = (segments(record["messages"], fmt) for record in islice(records.read(split), count))
        found += [encoded.ids[:longest] for encoded in encoder.each(conversations)]
    if not any(len(ids) > 1 for ids in found):
        raise StageError(f"gguf: no held-out text in {', '.join(split.name for split in splits)}; name other splits")
    return found


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
