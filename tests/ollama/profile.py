"""Artifacts as they lie in a profile's folder: GGUFs of an untrained model and the declaration of its formats."""

from __future__ import annotations

import json
from pathlib import Path

from so8t.engine.stage import Inputs
from so8t.formats.chat import PHI3
from so8t.formats.thinking import FORMATS
from stages.thinking_sft import declaration
from tests.formats import untrained

SYSTEM = "あなたは安全なアシスタントです。"


def artifacts(folder: Path, name: str = "tags", system: str = SYSTEM) -> Inputs:
    fmt = FORMATS[name]
    for each in ("gguf", "thinking_sft", "modelfile", "ollama"):
        (folder / each).mkdir(parents=True)
    models = folder / "gguf" / "models"
    models.mkdir()
    untrained.write(models / "so8t-f16.gguf", untrained.train(folder / "tokenizer", fmt, 700), fmt)
    (models / "so8t-q8_0.gguf").write_bytes((models / "so8t-f16.gguf").read_bytes())
    declared = json.dumps(declaration(PHI3, fmt, system), ensure_ascii=False)
    (folder / "thinking_sft" / "chat_format.json").write_text(declared, "utf-8")
    return Inputs({each: folder / each for each in ("gguf", "thinking_sft", "modelfile")})
