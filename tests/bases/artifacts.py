"""The artifacts that gguf and modelfile take, around a base's folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from so8t.engine.stage import Inputs
from so8t.formats import records
from so8t.formats.chat import ChatFormat
from so8t.formats.thinking import TAGS, ThinkingFormat
from stages import gguf, modelfile
from tests.bases import formats

QUESTIONS = ("東京支店の営業時間は？", "　全角の空白😢", "What time is it?")
LOOSE = {"kl": 5, "perplexity": 5, "top1": 0}  # random weights show nothing of a quantisation


def declare(root: Path, fmt: ChatFormat, thinking: ThinkingFormat = TAGS) -> None:
    """thinking_sft's splits and declaration."""
    splits = root / "thinking_sft" / "splits"
    splits.mkdir(parents=True)
    rows = [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "<final>はい。</final>"}]}
        for text in QUESTIONS
    ]
    for name in ("train", "test"):
        records.write(splits / f"{name}.jsonl", rows)
    formats.declare(root, fmt, thinking, "判定して答えます。")


def convert(root: Path, **spec: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both stages; gguf's parity.json and modelfile's check.json."""
    inputs = Inputs({name: root / name for name in ("baked_model", "thinking_sft", "chat_format", "gguf", "modelfile")})
    for name in ("gguf", "modelfile"):
        inputs[name].mkdir()
    gguf.build(inputs, inputs["gguf"], gguf.Spec(types=("f16",), bounds={"f16": LOOSE}, threads=1, **spec))
    modelfile.build(inputs, inputs["modelfile"], modelfile.Spec())
    parity: dict[str, Any] = json.loads((inputs["gguf"] / "parity.json").read_bytes())
    check: dict[str, Any] = json.loads((inputs["modelfile"] / "check.json").read_bytes())
    return parity, check
