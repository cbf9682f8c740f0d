"""How likely a GGUF finds the answers that held-out records have: the loss of what is learned, through llama.cpp."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from so8t.errors import StageError
from so8t.evals.talks import Loss
from so8t.formats import lent
from so8t.formats.chat import ChatFormat
from so8t.formats.encoding import Encoded
from so8t.formats.records import Record
from so8t.formats.thinking import ThinkingFormat
from so8t.gguf.llamacpp import Model
from so8t.train.conversations import forms
from so8t.watch.count import Count

_LEAST = 256  # tokens of a context: llama.cpp gives no less


def losses(
    path: Path, records: Sequence[Record], chat: ChatFormat, thinking: ThinkingFormat, threads: int, gpu_layers: int
) -> list[Loss]:
    """One for each record, in order."""
    with Model(path, _LEAST, 1) as words:
        encoder = lent.encoder(words, chat)
        encoded = [encoder(next(forms(record, chat, thinking))) for record in records]
    count = Count(f"evaluation: loss of {path.name}", len(encoded), 0)
    found = []
    context = max(_LEAST, *(len(one.ids) for one in encoded))
    with Model(path, context, threads, gpu_layers=gpu_layers) as model:
        for record, one in zip(records, encoded, strict=True):
            found.append(_loss(model.logits(one.ids), one, f"{path.name}: {record['id']}"))
            count.add()
    return found


def _loss(logits: Any, encoded: Encoded, name: str) -> Loss:
    """Every learned token, given all before it."""
    import numpy as np

    places = np.flatnonzero(encoded.learned[1:])
    rows = logits[places].astype(np.float64)
    top = rows.max(axis=1)
    chosen = rows[np.arange(len(places)), np.asarray(encoded.ids)[places + 1]]
    total = float((top + np.log(np.exp(rows - top[:, None]).sum(axis=1)) - chosen).sum())
    if not np.isfinite(total):
        raise StageError(f"evaluation: {name}: its loss is not a number, so the file is broken: build gguf again")
    return Loss(total, len(places))
