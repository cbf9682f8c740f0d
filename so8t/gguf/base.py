"""A base model from a GGUF: config, tokenizer and weights become the folder that every other stage reads.

Types that a checkpoint has too stay as they are, bit for bit; all others are quantised, and become float32: the values
with which llama.cpp computes, but not those of the model that the file was made from.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from so8t.engine.stage import Source
from so8t.errors import StageError
from so8t.gguf import foreignconfig, foreigntokens, names
from so8t.gguf.foreign import EXACT, Foreign, Stored, open_file
from so8t.gguf.names import Conversion
from so8t.parity.engines import Precision
from so8t.spec.fields import SpecModel, execution
from so8t.weights import writer
from so8t.weights.header import Tensor

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHARD = 5 << 30  # bytes
_BLOCK = re.compile(r"blk\.(\d+)\.(.+)\.(weight|bias)")


def _file(value: Any) -> Any:
    if isinstance(value, str) and not value.endswith(".gguf"):
        raise ValueError(f"must be a file that ends in .gguf, and {value} does not: for a folder write kind: local")
    return value


class Gguf(SpecModel):
    """A GGUF file, dequantised where it is quantised."""

    kind: Literal["gguf"]
    """The source's kind."""
    path: Annotated[str, BeforeValidator(_file)] = Field(min_length=1)
    """The file, relative to the project or absolute; it may begin with ~ or python:package, and hold environment
    variables."""
    accept: tuple[str, ...] = ()
    """Kinds of text that transformers may read otherwise than llama.cpp, as in chat_format.accept."""
    precision: Precision = execution("float32")
    """In which PyTorch is compared with llama.cpp; float32 takes four bytes of memory per parameter."""
    threads: int = execution(2, ge=1, le=256)
    """Threads of the processor while they are compared."""


def file_of(sources: Iterable[Source], source: Gguf) -> Path:
    found = list(sources)
    if len(found) != 1:
        raise StageError(f"base_model.source.path: {source.path} matches {len(found)} files; name one")
    return found[0].path


def take(path: Path, folder: Path) -> dict[str, Any]:
    """Write the folder; whether the file had lost something by its types, and how many tensors it has of each."""
    foreign = open_file(path)
    folder.mkdir(parents=True, exist_ok=True)
    config = foreignconfig.config(foreign)
    (folder / "config.json").write_bytes((json.dumps(config, indent=2) + "\n").encode("utf-8"))
    foreigntokens.write(foreign, folder)
    foreignconfig.check(foreign, _read(folder))
    weights = _Weights(foreign, config)
    writer.write(folder, writer.plan(weights.tensors, SHARD), weights.fill)
    return {"lossy": not all(tensor.is_exact for tensor in foreign.tensors.values()), "types": foreign.kinds}


def _read(folder: Path) -> dict[str, Any]:
    from transformers import AutoConfig

    found: dict[str, Any] = AutoConfig.from_pretrained(str(folder), local_files_only=True).to_dict()
    return found


class _Weights:
    """The checkpoint's tensors, and where their rows come from."""

    def __init__(self, foreign: Foreign, config: dict[str, Any]) -> None:
        self._family = names.family(config["architectures"][0])
        self._heads = {"query": config["num_attention_heads"], "key": config["num_key_value_heads"]}
        stored = [tensor for tensor in foreign.tensors.values() if not foreignconfig.is_rope(tensor.name)]
        self._stored = {self._name(tensor.name): tensor for tensor in stored}
        self._made = {name: names.conversion(name, self._family) or Conversion(name) for name in self._stored}

    @property
    def tensors(self) -> list[Tensor]:
        return [Tensor(name, self._dtype(name), stored.shape) for name, stored in self._stored.items()]

    def fill(self, tensor: Tensor, start: int, stop: int, into: memoryview) -> None:
        """Called from several threads."""
        import numpy as np

        made, rows = self._made[tensor.name], np.arange(start, stop)
        if made.rows:
            rows = _taken_apart(rows, tensor.rows // self._heads[made.rows])
        into[:] = _encoded(self._stored[tensor.name], rows, made.shift).reshape(-1).view(np.uint8).data

    def _dtype(self, name: str) -> str:
        """What is shifted is computed, in float32."""
        return "F32" if self._made[name].shift else EXACT.get(self._stored[name].kind, "F32")

    def _name(self, name: str) -> str:
        layer = {there: here for here, there in self._family.layer.items()}
        outside = {there: here for here, there in names.OUTSIDE.items()}
        if (match := _BLOCK.fullmatch(name)) and match[2] in layer:
            return f"model.layers.{match[1]}.{layer[match[2]]}.{match[3]}"
        stem, _, kind = name.rpartition(".")
        if stem in outside:
            return f"{outside[stem]}.{kind}"
        raise StageError(f"base_model: no tensor of {self._family.arch} is called {name} in a GGUF")


def _encoded(stored: Stored, rows: NDArray[np.intp], shift: float) -> NDArray[Any]:
    """As the checkpoint stores them."""
    import numpy as np

    if stored.kind in EXACT and not shift:
        return np.ascontiguousarray(stored.data[rows])
    return np.ascontiguousarray(stored.values(rows) - np.float32(shift))


def _taken_apart(rows: NDArray[np.intp], size: int) -> NDArray[np.intp]:
    """Where a row of q or k lies in the GGUF, whose heads have the two halves of a head row by row."""
    head, row = rows // size, rows % size
    half = size // 2
    return head * size + (row % half) * 2 + row // half
