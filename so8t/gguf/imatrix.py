"""An importance matrix: for each tensor, how large the values are that its columns are multiplied with.

The file is llama.cpp's: a GGUF with the sums of their squares and the number of tokens, as `llama-imatrix` writes it
and `llama-quantize` reads it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.errors import StageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SUMS, _COUNTS = ".in_sum2", ".counts"


@dataclass(frozen=True)
class Imatrix:
    """`squares`: the mean square of each column's input, by tensor; `chunks` texts, of `longest` tokens at most."""

    squares: Mapping[str, NDArray[np.float32]]
    tokens: int
    chunks: int
    longest: int

    def coverage(self, tensors: Collection[str]) -> dict[str, Any]:
        """How many of these tensors it knows, and which it does not."""
        missing = sorted(name for name in tensors if name not in self.squares)
        known = len(tensors) - len(missing)
        return {"tokens": self.tokens, "chunks": self.chunks, "tensors": known, "of": len(tensors), "missing": missing}


def write(path: Path, found: Imatrix, dataset: str) -> None:
    import numpy as np
    from gguf import GGUFWriter

    writer = GGUFWriter(path, "imatrix")
    writer.add_type("imatrix")
    writer.add_array("imatrix.datasets", [dataset])
    writer.add_uint32("imatrix.chunk_count", found.chunks)
    writer.add_uint32("imatrix.chunk_size", found.longest)
    for name in sorted(found.squares):
        sums = found.squares[name].astype(np.float64) * found.tokens
        writer.add_tensor(name + _SUMS, sums.astype(np.float32)[None])
        writer.add_tensor(name + _COUNTS, np.full((1, 1), found.tokens, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read(path: Path) -> Imatrix:
    """One file for one kind of use: a tensor of experts, with a count for each, is not read."""
    from gguf import GGUFReader

    try:
        reader = GGUFReader(str(path))
    except (ValueError, KeyError, IndexError, OverflowError, OSError) as error:
        raise StageError(
            f"gguf: imatrix: {path.name} is not a GGUF: {error}; make it anew with a llama-imatrix of today, "
            "or name your own llama-quantize as quantiser, which may read it"
        ) from error
    tensors = {tensor.name: tensor.data for tensor in reader.tensors}
    names = [name.removesuffix(_SUMS) for name in tensors if name.endswith(_SUMS)]
    counts = {name: tensors[name + _COUNTS].reshape(-1) for name in names if name + _COUNTS in tensors}
    if not names or any(len(counts.get(name, ())) != 1 or not counts[name][0] > 0 for name in names):
        raise StageError(f"gguf: imatrix: {path.name} holds no sums with one count each: it is not an imatrix to use")
    squares = {name: (tensors[name + _SUMS].reshape(-1) / counts[name][0]).astype("float32") for name in names}
    chunks, longest = (int(reader.fields[f"imatrix.{key}"].contents()) for key in ("chunk_count", "chunk_size"))
    return Imatrix(squares, int(max(count[0] for count in counts.values())), chunks, longest)
