"""The files beside the weights: configuration and tokenizer travel byte for byte.

What transformers would write again it would change: 5.x drops tokenizer.model and renames rope fields.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from so8t.errors import StageError
from so8t.weights.embeddings import EMBEDDING, HEAD
from so8t.weights.lora import Adapter
from so8t.weights.reader import INDEX, Checkpoint

CONFIG = "config.json"
TOKENIZER = "tokenizer_config.json"
_TIED = "tie_word_embeddings"
_CODE = "auto_map"


def copy(folder: Path, out: Path) -> None:
    """Everything of a checkpoint but its weights."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix != ".safetensors" and path.name != INDEX:
            target = out / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def parts_ways(folder: Path, base: Checkpoint, adapter: Adapter) -> bool:
    """Whether embeddings and head share their weights in the base, and no longer can: only one of them learned.

    Merged into shared weights, what one learned would change the other too.
    """
    if adapter.together or not {EMBEDDING, HEAD} & set(adapter.touched):
        return False
    tied = HEAD not in base or json.loads((folder / CONFIG).read_text("utf-8")).get(_TIED) is True
    if tied and adapter.rows:
        raise StageError(
            f"the base stores {HEAD} beside the embeddings that it shares its weights with, and rows of them were "
            "trained: take the second copy out of the base"
        )
    return tied


def untie(out: Path) -> None:
    """Say in the copied configuration that the head has weights of its own: the one change that is ever made."""
    config = json.loads((out / CONFIG).read_text("utf-8"))
    if "text_config" in config:
        raise StageError(
            "the adapter changes embeddings or head alone, which this model of several modalities shares: "
            "leave them out of lora.targets"
        )
    _write(out / CONFIG, {**config, _TIED: False})


def forget_code(out: Path) -> None:
    """Take pointers to a repository's own code out of the copied files: transformers' model is what was proven."""
    for name in (CONFIG, TOKENIZER):
        if (out / name).is_file() and _CODE in (found := json.loads((out / name).read_text("utf-8"))):
            _write(out / name, {key: value for key, value in found.items() if key != _CODE})


def _write(path: Path, values: Mapping[str, Any]) -> None:
    path.write_bytes((json.dumps(values, indent=2, ensure_ascii=False) + "\n").encode())
