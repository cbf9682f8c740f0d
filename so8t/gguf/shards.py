"""The tensors of a checkpoint folder: names, shapes and places from the headers, values a few rows at a time.

Files are read, not mapped: mapped pages would count as memory of this process.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.errors import StageError

if TYPE_CHECKING:
    import torch

INDEX = "model.safetensors.index.json"
BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_LONGEST_HEADER = 100 << 20  # safetensors' own limit


@dataclass(frozen=True)
class Tensor:
    """Where a tensor's bytes are."""

    name: str
    file: Path
    offset: int
    dtype: str
    shape: tuple[int, ...]

    @property
    def row(self) -> int:
        """Values in one row: everything but the first dimension."""
        return prod(self.shape[1:])


def tensors(folder: Path) -> dict[str, Tensor]:
    """Every tensor, in the order of files and of their headers."""
    found: dict[str, Tensor] = {}
    for file in _files(folder):
        for tensor in _header(file):
            if tensor.name in found:
                raise StageError(f"{file.name} holds {tensor.name}, and so does {found[tensor.name].file.name}")
            found[tensor.name] = tensor
    return found


def _files(folder: Path) -> list[Path]:
    index = folder / INDEX
    if not index.exists():
        files = sorted(folder.glob("*.safetensors"))
        if not files:
            raise StageError(f"no weights in {folder.name}: a safetensors file is needed")
        return files
    try:
        names = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise StageError(f"{INDEX} has no weight_map from tensors to files") from error
    for name in names:
        if not (folder / name).is_file():
            raise StageError(f"{INDEX} names {name}, which is missing")
    return [folder / name for name in names]


def _header(file: Path) -> Iterator[Tensor]:
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, _LONGEST_HEADER):
            raise StageError(f"{file.name} is no safetensors file: its header cannot be {length} bytes long")
        try:
            header: dict[str, Any] = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            entries = [_entry(file, 8 + length, name, value) for name, value in header.items()]
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise StageError(f"{file.name} is no safetensors file: its header cannot be read") from error
    for tensor in entries:
        if tensor.dtype not in BYTES:
            raise StageError(
                f"{tensor.name} in {file.name} holds {tensor.dtype}, which is none of {', '.join(sorted(BYTES))}"
            )
        if tensor.offset + prod(tensor.shape) * BYTES[tensor.dtype] > size:
            raise StageError(f"{file.name} is cut off: it ends before {tensor.name}")
        yield tensor


def _entry(file: Path, start: int, name: str, value: dict[str, Any]) -> Tensor:
    first, last = value["data_offsets"]
    tensor = Tensor(name, file, start + int(first), str(value["dtype"]), tuple(map(int, value["shape"])))
    if tensor.dtype in BYTES and last - first != prod(tensor.shape) * BYTES[tensor.dtype]:
        raise ValueError(name)
    return tensor


def chunks(tensor: Tensor, rows: int) -> Iterator[torch.Tensor]:
    """A tensor's values in its own type, `rows` rows at a time."""
    import torch

    dtype = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[tensor.dtype]
    total = tensor.shape[0] if tensor.shape else 1
    with tensor.file.open("rb", buffering=0) as stream:
        stream.seek(tensor.offset)
        for start in range(0, total, rows):
            count = min(rows, total - start)
            raw = torch.empty(count * tensor.row * BYTES[tensor.dtype], dtype=torch.uint8)
            _fill(stream, raw.numpy().data, tensor)
            yield raw.view(dtype).reshape(count, *tensor.shape[1:])


def _fill(stream: Any, place: memoryview, tensor: Tensor) -> None:
    done = 0
    while done < len(place):
        count = stream.readinto(place[done:])
        if not count:
            raise StageError(f"{tensor.file.name} is cut off: it ends within {tensor.name}")
        done += count
