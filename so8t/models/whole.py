"""What people have in place of a checkpoint: pointers, halves of a download, quantised weights.

Each is named, with what to do, before a file is copied.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from so8t.errors import StageError
from so8t.models.checkpoint import INDEX, check_precision
from so8t.weights import header

_POINTER = b"version https://git-lfs.github.com/spec/"
_HALVES = (".incomplete", ".part", ".partial", ".crdownload", ".aria2")
_QUANTISED = ("quantize_config.json", "quant_config.json")  # beside older GPTQ and AWQ checkpoints
AGAIN = "download it again (hf download goes on where it stopped)"


def check(files: Mapping[str, Path], where: str) -> None:
    """`files` are all files of the folder by name, `where` is how messages call it."""
    _check_pointers(files, where)
    for name in sorted(files):
        if name.endswith(_HALVES):
            raise StageError(f"base_model: {where}: {name} is a download that did not finish: {AGAIN}, or remove it")
        if name in _QUANTISED:
            check_precision({"quantization_config": {}}, f"{where}: {name}")
    check_precision(_json(files, "config.json"), f"{where}: config.json")
    _check_shards(files, where)


def is_downloading(files: Mapping[str, Path]) -> bool:
    """Whether `hf download` into this folder left something unfinished."""
    folders = {path.parent / ".cache" / "huggingface" / "download" for path in files.values()}
    return any(True for folder in folders for _ in folder.rglob("*.incomplete"))


def _check_pointers(files: Mapping[str, Path], where: str) -> None:
    pointers = sorted(name for name, path in files.items() if _starts(path, len(_POINTER)) == _POINTER)
    if pointers:
        count = f" (one of {len(pointers)})" if len(pointers) > 1 else ""
        raise StageError(
            f"base_model: {where}: {pointers[0]} is a Git LFS pointer, a few lines in place of the file{count}: "
            "run `git lfs pull` in that folder, or download the repository with `hf download`"
        )


def _check_shards(files: Mapping[str, Path], where: str) -> None:
    places = _json(files, INDEX).get("weight_map")
    named = set(places.values()) if isinstance(places, dict) else set()
    missing = sorted(str(name) for name in named if name not in files)
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise StageError(
            f"base_model: {where} lacks {missing[0]}{more}, which {INDEX} names: the download did not finish; {AGAIN}"
        )
    for name, path in sorted(files.items()):
        if name.endswith(".safetensors"):
            _check_length(path, f"{where}: {name}")


def _check_length(path: Path, what: str) -> None:
    size, whole = path.stat().st_size, _whole_size(path)
    if size < whole:
        raise StageError(
            f"base_model: {what} has {size:,} of {whole:,} bytes: the download or the copy did not finish; {AGAIN}"
        )


def _whole_size(path: Path) -> int:
    """As the file's own header has it; 0 where there is no header: those who read the file say what is wrong."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(header.PREFIX), "little")
        text = file.read(length) if length <= header.LONGEST else b""
    if len(text) < length:
        return header.PREFIX + length if text.startswith(b"{") else 0
    try:
        ends = [entry["data_offsets"][1] for name, entry in json.loads(text).items() if name != header.METADATA]
        return int(header.PREFIX + length + max(ends, default=0))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError):
        return 0


def _starts(path: Path, count: int) -> bytes:
    with path.open("rb") as file:
        return file.read(count)


def _json(files: Mapping[str, Path], name: str) -> dict[str, Any]:
    """What those who read it will judge; here it may be missing or broken."""
    try:
        value = json.loads(files[name].read_text("utf-8")) if name in files else {}
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
