"""Artifacts before merged_model, small, on disk: a base with its tokenizer, a trained adapter, conversations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from so8t.engine.stage import Inputs
from so8t.formats import records
from tests.bases import formats
from tests.gguf import folders
from tests.weights import workshop

QUESTIONS = ("東京支店の営業時間は？", "　全角の空白😢", "What time is it?")
SPLITS = ("test", "test_known")


def inputs(root: Path, kind: str = "geodesic", dtype: str = "float32", family: str = "phi3") -> Inputs:
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM

    folder = folders.build(family, root / "base_model" / "model", dtype)
    (root / "base_model" / "base.json").write_text('{"remote_code": false}', "utf-8")
    base = AutoModelForCausalLM.from_pretrained(str(folder), dtype=dtype)
    config = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    workshop.adapt(root, base, kind, config)
    splits = root / "thinking_sft" / "splits"
    splits.mkdir(parents=True)
    rows = [
        {"messages": [{"role": "user", "content": text}, {"role": "assistant", "content": "<final>はい。</final>"}]}
        for text in QUESTIONS
    ]
    for name in SPLITS:
        records.write(splits / f"{name}.jsonl", rows)
    formats.declare(root)
    return Inputs({name: root / name for name in ("base_model", "adapter", "thinking_sft", "chat_format")})


def with_merged(given: Inputs, out: Path, **spec: Any) -> Inputs:
    from stages import merged_model

    out.mkdir()
    merged_model.build(given, out, merged_model.Spec(**spec))
    return Inputs({**given.artifacts, "merged_model": out})


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
