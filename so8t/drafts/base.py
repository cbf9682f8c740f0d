"""What can be seen of a base model without loading it: what kind it is, how large, and whether it has a template."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so8t.engine import sourcefiles
from so8t.errors import StageError
from so8t.models import commits, naming

_WEIGHTS = ".safetensors"


@dataclass(frozen=True)
class Base:
    kind: str  # tiny, local, gguf, hub
    source: Mapping[str, str]  # what base_model.yaml says of it, beside the kind
    name: str
    said: str  # what was seen, for people
    parameters: int = 0  # 0: not known
    layers: int = 0  # 0: not known
    template: bool = True  # whether it has a chat template of its own, where that can be seen


def look(project: Path, named: str | None) -> Base:
    """A base by its folder, its GGUF or its repository, with or without @commit; a tiny one where none is named."""
    if named is None:
        return Base("tiny", {}, "so8t", "a tiny Phi-3 that is trained here", template=False)
    if named.endswith(".gguf"):
        return _gguf(project, named)
    repo, _, commit = (naming.repository(named) or named).partition("@")
    if (project / named).is_dir() or naming.is_path(named) or not re.fullmatch(naming.REPOSITORY, repo):
        return _local(project, named)
    return _hub(repo, commit or named.rpartition("@")[2])


def _hub(repo: str, commit: str) -> Base:
    revision = commit if re.fullmatch(naming.COMMIT, commit) else commits.newest(repo)
    said = f"the repository {repo} at {revision[:12]}; its files were not looked at"
    return Base("hub", {"repo": repo, "revision": revision}, repo.rpartition("/")[2], said)


def _local(project: Path, named: str) -> Base:
    folder = named.replace("\\", "/").rstrip("/")
    files = {path.name: path for _, path in sourcefiles.expand(project, {"base": [f"{folder}/*"]})["base"]}
    if "config.json" not in files:
        ggufs = sorted(name for name in files if name.endswith(".gguf"))
        instead = f"; its GGUF would be --base {folder}/{ggufs[0]}" if ggufs else ""
        raise StageError(f"{named}: this folder is not a checkpoint, for it has no config.json{instead}")
    config = _json(files["config.json"])
    parameters = sum(path.stat().st_size for name, path in files.items() if name.endswith(_WEIGHTS)) // _width(config)
    settings = _json(files["tokenizer_config.json"]) if "tokenizer_config.json" in files else {}
    template = "chat_template.jinja" in files or bool(settings.get("chat_template"))
    said = f"a folder with {config.get('model_type', 'a model')}, {_size(parameters)}"
    layers = int(config.get("num_hidden_layers", 0))
    return Base("local", {"path": folder}, Path(folder).name, said, parameters, layers, template)


def _gguf(project: Path, named: str) -> Base:
    from so8t.gguf import foreign

    path = named.replace("\\", "/")
    ((_, file),) = sourcefiles.expand(project, {"base": [path]})["base"]
    found = foreign.open_file(file)
    parameters = sum(_product(tensor.shape) for tensor in found.tensors.values())
    said = f"a GGUF with {found.arch}, {_size(parameters)}, its tensors {', '.join(found.kinds)}"
    template = "tokenizer.chat_template" in found.metadata
    layers = int(found.metadata.get(f"{found.arch}.block_count", 0))
    return Base("gguf", {"path": path}, Path(path).stem, said, parameters, layers, template)


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise StageError(f"{path}: not JSON: {error}; get the file again") from error
    return found


def _width(config: Mapping[str, Any]) -> int:
    """Bytes of a parameter."""
    return 4 if "32" in str(config.get("dtype", config.get("torch_dtype", "bfloat16"))) else 2


def _product(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= int(length)
    return size


def _size(parameters: int) -> str:
    if parameters >= 1_000_000_000:
        return f"{parameters / 1e9:.1f} billion parameters"
    return f"{parameters / 1e6:.1f} million parameters"
