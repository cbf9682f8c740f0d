"""What a type of file costs: its bits, and how far each tensor is from the one that it was made from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.gguf.foreign import Foreign, Stored, open_file
from so8t.gguf.full import FULL

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_AT_ONCE = 1 << 22  # values in memory
_DIGITS = 4


def of_files(files: Mapping[str, Path], reference: Path) -> dict[str, dict[str, Any]]:
    """By type; the tensors of full types stand beside no reference, for they are one."""
    theirs = open_file(reference) if any(kind not in FULL for kind in files) else None
    found = {}
    for kind, path in files.items():
        ours = open_file(path)
        found[kind] = {"size": path.stat().st_size, **bits(ours)}
        if theirs and kind not in FULL:
            found[kind]["tensors"] = errors(ours, theirs)
    return found


def bits(file: Foreign) -> dict[str, Any]:
    """Of the tensors alone, as llama.cpp counts: a vocabulary is not a weight."""
    tensors = file.tensors.values()
    weights = sum(math.prod(tensor.shape) for tensor in tensors)
    stored = 8 * sum(tensor.data.nbytes for tensor in tensors)
    return {"weights": weights, "bits_per_weight": round(stored / weights, _DIGITS)}


def errors(file: Foreign, reference: Foreign) -> dict[str, dict[str, Any]]:
    """Of tensors that are stored otherwise than in the reference: how, and the error as part of the tensor's size."""
    theirs = reference.tensors
    return {
        name: {"type": tensor.kind, "error": _error(tensor, theirs[name])}
        for name, tensor in file.tensors.items()
        if tensor.kind != theirs[name].kind
    }


def _error(tensor: Stored, reference: Stored) -> float:
    """The root of the mean square of what differs, by that of the reference."""
    import numpy as np

    off = size = 0.0
    step = max(1, _AT_ONCE // tensor.shape[-1])
    for start in range(0, len(tensor.data), step):
        rows = np.arange(start, min(start + step, len(tensor.data)))
        right = reference.values(rows)
        off += _squares(tensor.values(rows) - right)
        size += _squares(right)
    return float(f"{(off / size) ** 0.5 if size else 0.0:.{_DIGITS}g}")


def _squares(values: NDArray[np.float32]) -> float:
    flat = values.reshape(-1).astype("float64")
    return float(flat @ flat)
