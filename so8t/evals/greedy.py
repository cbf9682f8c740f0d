"""Free generation in PyTorch, always the likeliest token; and the loss that the right answers would have."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from so8t.formats import chat
from so8t.formats.chat import ChatFormat, Message
from so8t.formats.encoding import Encoded, Encoder
from so8t.formats.tokens import stops
from so8t.gate import attach
from so8t.store.answers import Answers
from so8t.train import losses
from so8t.train.conversations import IGNORED, collate
from so8t.watch.count import Count


def generate(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[Message]],
    fmt: ChatFormat,
    batch: int,
    longest: int,
    kept: Answers,
    name: str,
) -> Iterator[str]:
    """The answers, in the prompts' order, each up to a stop token; prompts of like length go together.

    They are kept as `name` and a number; what is there already, a killed run has asked.
    """
    encoder = Encoder(tokenizer)
    encoded = list(encoder.each(chat.segments(prompt, fmt, generation_prompt=True) for prompt in prompts))
    numbers = sorted(range(len(prompts)), key=lambda number: (len(encoded[number].ids), number))
    stop = stops(tokenizer, fmt)
    keys = [f"{name} {number}" for number in range(len(prompts))]
    batches = [numbers[start : start + batch] for start in range(0, len(numbers), batch)]
    missing = [some for some in batches if any(keys[number] not in kept for number in some)]
    count = Count(name, len(keys), len(keys) - sum(map(len, missing)))
    for some in missing:
        given = _left_padded([encoded[number].ids for number in some], stop[0], model.device)
        with attach.computed_once(model):
            made = model.generate(
                **given, max_new_tokens=longest, do_sample=False, eos_token_id=stop, pad_token_id=stop[0]
            )
        for number, ids in zip(some, made[:, given["input_ids"].shape[1] :].tolist(), strict=True):
            end = next((at for at, token in enumerate(ids) if token in stop), len(ids))
            kept.put(keys[number], {"text": tokenizer.decode(ids[:end], skip_special_tokens=False)})
            count.add()
    yield from (kept[key]["text"] for key in keys)


def _left_padded(rows: Sequence[Sequence[int]], fill: int, device: torch.device) -> dict[str, torch.Tensor]:
    width = max(map(len, rows))
    ids = torch.tensor([[fill] * (width - len(row)) + list(row) for row in rows], device=device)
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device)
    return {"input_ids": ids, "attention_mask": mask}


def loss(model: Any, encoded: Sequence[Encoded], batch: int, fill: int) -> float:
    """The mean cross-entropy of what is learned in these conversations."""
    import numpy

    rows = [
        (numpy.asarray(one.ids), numpy.where(one.learned, one.ids, IGNORED))
        for one in sorted(encoded, key=lambda one: len(one.ids))
    ]
    total = count = 0.0
    with attach.computed_once(model):
        for start in range(0, len(rows), batch):
            table = {
                name: tensor.to(model.device)
                for name, tensor in collate([[row] for row in rows[start : start + batch]], fill).items()
            }
            whole = losses.totals([table])
            total += float(losses.task_loss(losses.forward(model, table), whole)) * float(whole.learned)
            count += float(whole.learned)
    return total / count
