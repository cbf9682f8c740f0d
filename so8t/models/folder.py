"""The files that make a checkpoint: which names are taken, and how they are copied, whole or not at all."""

from __future__ import annotations

import fnmatch
import shutil
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from so8t.errors import StageError
from so8t.models import whole
from so8t.models.checkpoint import PICKLES
from so8t.store.atomic import sync

WEIGHTS = ("model.safetensors", "model-*.safetensors", "model.safetensors.index.json")
DESCRIPTION = ("config.json", "generation_config.json", "LICENSE*", "NOTICE*")
TOKENIZER = (
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
)
CODE = ("*.py",)


def wanted(remote_code: bool) -> tuple[str, ...]:
    return WEIGHTS + DESCRIPTION + TOKENIZER + (CODE if remote_code else ())


def check(files: Mapping[str, Path], where: str) -> None:
    """StageError where these files of a folder are not a checkpoint; nothing large is read."""
    whole.check(files, where)
    if not any(_matches(name, WEIGHTS) for name in files):
        raise StageError(f"base_model: {where} {_instead(files)}")


def take(files: Mapping[str, Path], target: Path, remote_code: bool, where: str) -> None:
    """Copy what belongs to a checkpoint; a copy that is there already is whole, because it was renamed into place."""
    check(files, where)
    chosen = {name: path for name, path in files.items() if _matches(name, wanted(remote_code))}
    left = sorted(set(files) - set(chosen))
    if left:
        print(f"base_model: not taken from {where}: {', '.join(left[:8])}{', ...' * (len(left) > 8)}", file=sys.stderr)
    target.mkdir(parents=True, exist_ok=True)
    for name, path in sorted(chosen.items()):
        if not (target / name).exists():
            _copy(path, target / name)


def _instead(files: Mapping[str, Path]) -> str:
    """What a folder without weights has."""
    if whole.is_downloading(files):
        return f"has no weights yet: the download did not finish; {whole.AGAIN}"
    if "adapter_config.json" in files:
        return "is a LoRA adapter and not a base: name the model that it was trained on"
    if ggufs := sorted(name for name in files if name.endswith(".gguf")):
        return f"has no safetensors but a GGUF, {ggufs[0]}: write {{kind: gguf, path: <the folder>/{ggufs[0]}}}"
    pickles = sorted(name for name in files if Path(name).suffix.lower() in PICKLES)
    if pickles:
        return (
            f"has its weights as a pickle ({pickles[0]}), which can run code when it is read; "
            "only safetensors are taken: convert them first"
        )
    return f"has no safetensors: looked for {' or '.join(WEIGHTS[:2])}"


def _copy(source: Path, target: Path) -> None:
    part = target.with_name(f"{target.name}.part")
    shutil.copyfile(source, part)
    sync(part)
    part.replace(target)


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
