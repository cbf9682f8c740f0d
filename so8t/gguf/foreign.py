"""A GGUF that somebody brings: its metadata and its tensors, whatever type they have."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.errors import MissingExtra, StageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EXACT = {"F32": "F32", "F16": "F16", "BF16": "BF16"}  # GGML's types that a checkpoint has too
_MAGIC = b"GGUF"


@dataclass(frozen=True)
class Stored:
    """A tensor as the file holds it: `data` are its rows, as bytes where no type of numpy fits."""

    name: str
    shape: tuple[int, ...]
    kind: str
    data: NDArray[Any]

    @property
    def is_exact(self) -> bool:
        return self.kind in EXACT

    def values(self, rows: NDArray[np.intp]) -> NDArray[np.float32]:
        """These rows in float32, which holds a value of any type."""
        from gguf import GGMLQuantizationType
        from gguf.quants import dequantize

        try:
            return dequantize(self.data[rows], GGMLQuantizationType[self.kind])
        except NotImplementedError as error:
            raise StageError(f"base_model: {self.name} is stored as {self.kind}, which cannot be read") from error


@dataclass(frozen=True)
class Foreign:
    path: Path
    metadata: Mapping[str, Any]
    tensors: Mapping[str, Stored]

    @property
    def arch(self) -> str:
        return str(self.metadata.get("general.architecture", ""))

    def token_id(self, name: str) -> int | None:
        """Of bos, eos, unknown, padding, eot or eom; of a SentencePiece vocabulary the first three are known."""
        usual = {"unknown": 0, "bos": 1, "eos": 2} if self.metadata.get("tokenizer.ggml.model") == "llama" else {}
        found: int | None = self.metadata.get(f"tokenizer.ggml.{name}_token_id", usual.get(name))
        return found

    @property
    def kinds(self) -> dict[str, int]:
        """How many tensors there are of each type."""
        names = [tensor.kind for tensor in self.tensors.values()]
        return {name: names.count(name) for name in sorted(set(names))}


def open_file(path: Path) -> Foreign:
    try:
        from gguf import GGUFReader
    except ImportError:
        raise MissingExtra("gguf", "gguf", "base_model.source of kind gguf") from None
    with path.open("rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            raise StageError(
                f"base_model: {path.name} does not begin as a GGUF does; if it is a Git LFS pointer, "
                "run `git lfs pull` in its folder, or download it with `hf download`"
            )
    try:
        reader = GGUFReader(str(path))
    except (ValueError, KeyError, IndexError, OverflowError, UnicodeDecodeError) as error:
        raise StageError(
            f"base_model: {path.name} is not a whole GGUF: {error}; download it again "
            "(hf download goes on where it stopped)"
        ) from error
    metadata = {name: field.contents() for name, field in reader.fields.items()}
    if int(metadata.get("split.count") or 1) > 1:
        raise StageError(
            f"base_model: {path.name} is one of {metadata['split.count']} parts of a GGUF: "
            "join them with `llama-gguf-split --merge`, and name the whole file"
        )
    return Foreign(path, metadata, {tensor.name: _stored(tensor) for tensor in reader.tensors})


def _stored(tensor: Any) -> Stored:
    shape = tuple(int(side) for side in reversed(tensor.shape))
    return Stored(tensor.name, shape, tensor.tensor_type.name, tensor.data)
