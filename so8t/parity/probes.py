"""Held-out conversations as token ids, for models to be compared on."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from pathlib import Path

import orjson

from so8t.errors import StageError
from so8t.formats import chat, records
from so8t.parity.bounds import Parity


def read(sft: Path, model: Path, parity: Parity, remote_code: bool = False) -> Mapping[str, list[int]]:
    """By name, such as `test:1`; tokenised by the model's own tokenizer, as training does it."""
    from transformers import AutoTokenizer

    from so8t.formats.encoding import Encoder

    declared = chat.from_json(orjson.loads((sft / "chat_format.json").read_bytes())["chat"])
    tokenizer = AutoTokenizer.from_pretrained(str(model), local_files_only=True, trust_remote_code=remote_code)
    encoder = Encoder(tokenizer)
    found = {}
    for split in parity.splits:
        path = sft / "splits" / f"{split}.jsonl"
        if not path.is_file():
            there = ", ".join(sorted(file.stem for file in path.parent.glob("*.jsonl")))
            raise StageError(f"parity.splits: thinking_sft has no split {split}; it has {there}")
        talks = (chat.segments(record["messages"], declared) for record in islice(records.read(path), parity.prompts))
        for number, encoded in enumerate(encoder.each(talks), 1):
            found[f"{split}:{number}"] = encoded.ids[: parity.tokens]
    found = {name: ids for name, ids in found.items() if ids}
    if not found:
        raise StageError(f"parity.splits: no conversation in {', '.join(parity.splits)} of thinking_sft: name others")
    return found
