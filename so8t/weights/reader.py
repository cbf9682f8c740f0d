"""Checkpoints read lazily: headers at once, data by rows of one tensor into the caller's memory, nothing mapped.

A mapped shard counts as resident memory page by page, and a file that is cut short under a map kills the process.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from so8t.errors import StageError
from so8t.stream import uncached
from so8t.weights import header
from so8t.weights.header import BadHeader, Tensor

if TYPE_CHECKING:
    import torch

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


class File:
    """One open safetensors file; `label` is how messages call it."""

    def __init__(self, path: Path, label: str) -> None:
        self.label = label
        try:
            self._file = path.open("rb", buffering=0)
        except OSError as error:
            raise StageError(f"{label} cannot be read: {error.strerror}") from error
        self._turn = threading.Lock()
        try:
            size = os.fstat(self._file.fileno()).st_size
            count = header.length(self._file.read(header.PREFIX), size)
            text = bytearray(count)
            self._fill(memoryview(text), header.PREFIX)
            self._data = header.PREFIX + count
            found = header.parse(bytes(text), size - self._data)
        except BadHeader as error:
            self.close()
            raise StageError(f"{label} is not a complete safetensors file: {error}") from error
        except BaseException:
            self.close()
            raise
        self.tensors = {name: tensor for name, (tensor, _) in found.items()}
        self._starts = {name: start for name, (_, start) in found.items()}

    def read(self, name: str, start: int, stop: int, into: memoryview) -> None:
        """Rows `start` to `stop` of a tensor, as bytes."""
        row = self.tensors[name].row_bytes
        self._fill(into[: (stop - start) * row], self._data + self._starts[name] + start * row, name)

    def close(self) -> None:
        self._file.close()

    def _fill(self, into: memoryview, offset: int, name: str = "header") -> None:
        done = 0
        while done < len(into):
            count = self._read_at(into[done:], offset + done)
            if not count:
                raise StageError(f"{self.label} ends within {name}: it was cut short")
            done += count

    def _read_at(self, into: memoryview, offset: int) -> int:
        if hasattr(os, "preadv"):
            return uncached.read_at(self._file.fileno(), into, offset)
        with self._turn:  # Windows has one position for all threads
            self._file.seek(offset)
            return self._file.readinto(into) or 0


class Checkpoint:
    """The tensors of one or several files, as one; `label` is the artifact's name in messages."""

    def __init__(self, files: Mapping[str, Path], label: str) -> None:
        self.label = label
        self._open = ExitStack()
        self._of: dict[str, File] = {}
        with self._open:
            for name, path in files.items():
                file = File(path, f"{label}: {name}")
                self._open.callback(file.close)
                if twice := sorted(self._of.keys() & file.tensors.keys()):
                    raise StageError(f"{self._of[twice[0]].label} and {name} both hold {twice[0]}")
                self._of |= dict.fromkeys(file.tensors, file)
            self._open = self._open.pop_all()

    @property
    def tensors(self) -> dict[str, Tensor]:
        """In the order in which the files hold them: reading them so goes forward through each file."""
        return {name: file.tensors[name] for name, file in self._of.items()}

    @property
    def dtypes(self) -> tuple[str, ...]:
        return tuple(sorted({tensor.dtype for tensor in self.tensors.values()}))

    def __contains__(self, name: str) -> bool:
        return name in self._of

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._of:
            raise StageError(f"{self.label}: no tensor {name}")
        return self._of[name].tensors[name]

    def file(self, name: str) -> str:
        """Where a tensor is, for messages."""
        return self._of[name].label

    def read(self, name: str, start: int, stop: int, into: memoryview) -> None:
        self._of[name].read(name, start, stop, into)

    def rows(self, name: str, start: int = 0, stop: int | None = None) -> torch.Tensor:
        """Rows of a tensor of floats, in memory of their own."""
        tensor = self[name]
        stop = tensor.rows if stop is None else stop
        memory = bytearray((stop - start) * tensor.row_bytes)
        self.read(name, start, stop, memoryview(memory))
        return as_rows(memoryview(memory), tensor, stop - start)

    def close(self) -> None:
        self._open.close()

    def __enter__(self) -> Checkpoint:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def open_folder(folder: Path, label: str) -> Checkpoint:
    """A checkpoint's shards by its index, or its single file; the index says what the shards say."""
    if not (folder / INDEX).is_file():
        if not (folder / SINGLE).is_file():
            raise StageError(f"{label}: no weights: neither {SINGLE} nor {INDEX} is in {folder.name}")
        return Checkpoint({SINGLE: folder / SINGLE}, label)
    places = _weight_map(folder / INDEX, label)
    opened = Checkpoint({file: folder / file for file in sorted(set(places.values()))}, label)
    for name, file in sorted(places.items()):
        if name not in opened or opened.file(name) != f"{label}: {file}":
            opened.close()
            raise StageError(f"{label}: {INDEX} says that {name} is in {file}, and it is not")
    if extra := sorted(opened.tensors.keys() - places.keys()):
        opened.close()
        raise StageError(f"{opened.file(extra[0])} holds {extra[0]}, which {INDEX} does not name")
    return opened


def as_rows(memory: memoryview, tensor: Tensor, rows: int) -> torch.Tensor:
    """Bytes seen as rows of a tensor; whoever changes the one changes the other."""
    import torch

    kinds = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    if tensor.dtype not in kinds:
        raise StageError(f"tensor {tensor.name} holds {tensor.dtype}; it must be one of {', '.join(kinds)}")
    shape = (rows, *tensor.shape[1:]) if tensor.shape else ()
    if not tensor.row_bytes or not rows:
        return torch.empty(shape, dtype=kinds[tensor.dtype])
    return torch.frombuffer(memory[: rows * tensor.row_bytes], dtype=kinds[tensor.dtype]).view(shape)


def _weight_map(path: Path, label: str) -> dict[str, str]:
    try:
        index: Any = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise StageError(f"{label}: {path.name} is not JSON: {error}") from error
    places = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(places, dict) or not places or not all(isinstance(file, str) for file in places.values()):
        raise StageError(f"{label}: {path.name} has no weight_map from tensors to files")
    for file in sorted(set(places.values())):
        if Path(file).name != file or "\\" in file or not file.endswith(".safetensors"):
            raise StageError(f"{label}: {path.name} names {file!r}, which is not a safetensors file of the same folder")
    return places
