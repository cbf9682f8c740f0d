"""Where each tensor of a GGUF lies in its file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from so8t.errors import MissingExtra, UserError


def read(path: Path) -> Iterator[tuple[str, int, int]]:
    """Name, first byte, and the byte behind the last."""
    try:
        from gguf import GGUFReader
    except ImportError:
        raise MissingExtra("gguf", "gguf", "a release of GGUF files") from None
    try:
        reader = GGUFReader(str(path))
    except (ValueError, KeyError, IndexError, OverflowError, UnicodeDecodeError) as error:
        raise UserError(f"{path.name} is not a whole GGUF: {error}") from error
    for tensor in reader.tensors:
        yield tensor.name, int(tensor.data_offset), int(tensor.data_offset) + int(tensor.n_bytes)
