"""The header of a safetensors file: every field is checked when it is read, and equal tensors give equal bytes. Pure.

Holding the entries that `parse` gives means: every tensor lies within the file, none overlaps another, no byte is
left over, and each range is as long as its shape and type say.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_OF_BYTES = {8: ("F64", "I64", "U64"), 4: ("F32", "I32", "U32"), 2: ("F16", "BF16", "I16", "U16")}
_OF_ONE = ("F8_E4M3", "F8_E5M2", "I8", "U8", "BOOL")
SIZES = {dtype: size for size, dtypes in {**_OF_BYTES, 1: _OF_ONE}.items() for dtype in dtypes}
FLOATS = ("F64", "F32", "F16", "BF16")
PREFIX = 8  # bytes that say how long the header is
LONGEST = 100_000_000  # as the format's own library has it
METADATA = "__metadata__"
_WIDEST = 1 << 48  # of one dimension: a larger number is not a length


class BadHeader(Exception):
    """What is wrong with a header; it names the tensor where there is one."""


@dataclass(frozen=True)
class Tensor:
    """A tensor by name, type and shape; rows are what its first dimension counts."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def rows(self) -> int:
        return self.shape[0] if self.shape else 1

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * SIZES[self.dtype]

    @property
    def size(self) -> int:
        return self.rows * self.row_bytes


def length(prefix: bytes, file_size: int) -> int:
    """The header's length, known to lie within the file before anything of that size is asked for."""
    if len(prefix) < PREFIX:
        raise BadHeader(f"{file_size} bytes are too few for a safetensors file")
    found = int.from_bytes(prefix, "little")
    if found > min(file_size - PREFIX, LONGEST):
        raise BadHeader(f"it claims a header of {found:,} bytes, and the file has {file_size:,}")
    return found


def parse(header: bytes, data_size: int) -> dict[str, tuple[Tensor, int]]:
    """Tensors with the offsets of their data behind the header, in the order in which the file holds them."""
    table = _table(header)
    metadata = table.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise BadHeader(f"{METADATA} is not a table of texts")
    entries = [_entry(name, value) for name, value in table.items()]
    entries.sort(key=lambda entry: (entry[1], entry[2]))
    end = 0
    for tensor, start, stop in entries:
        if start != end:
            what = "overlaps the tensor before it" if start < end else "leaves a hole before it"
            raise BadHeader(f"tensor {tensor.name} {what}: it begins at {start:,}, the one before ends at {end:,}")
        if stop > data_size:
            raise BadHeader(f"tensor {tensor.name} ends at {stop:,}, and there are {data_size:,} bytes: truncated?")
        end = stop
    if end != data_size:
        raise BadHeader(f"the tensors end at {end:,}, and there are {data_size:,} bytes")
    return {tensor.name: (tensor, start) for tensor, start, _ in entries}


def encode(tensors: Iterable[Tensor]) -> tuple[bytes, dict[str, int]]:
    """Length, header and padding as they stand in the file, and where each tensor begins in it."""
    table: dict[str, Any] = {METADATA: {"format": "pt"}}
    offsets, end = {}, 0
    for tensor in tensors:
        offsets[tensor.name] = end
        table[tensor.name] = {
            "dtype": tensor.dtype,
            "shape": list(tensor.shape),
            "data_offsets": [end, end + tensor.size],
        }
        end += tensor.size
    text = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 8)
    head = len(text).to_bytes(PREFIX, "little") + text
    return head, {name: len(head) + offset for name, offset in offsets.items()}


def _table(header: bytes) -> dict[str, Any]:
    if not header.startswith(b"{"):
        raise BadHeader("the header is not a JSON object")
    try:
        table = json.loads(header.decode("utf-8"), object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadHeader(f"the header is not JSON: {error or type(error).__name__}") from error
    if not isinstance(table, dict):
        raise BadHeader("the header is not a JSON object")
    return table


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table: dict[str, Any] = {}
    for name, value in pairs:
        if name in table:
            raise BadHeader(f"{name} stands there twice")
        table[name] = value
    return table


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _entry(name: str, value: Any) -> tuple[Tensor, int, int]:
    if any("\ud800" <= char <= "\udfff" for char in name):
        raise BadHeader(f"tensor {name!a} has a name that is not text")
    if not isinstance(value, Mapping) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise BadHeader(f"tensor {name} is not described by dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in SIZES:
        raise BadHeader(f"tensor {name} has type {dtype!r}; it must be one of {', '.join(SIZES)}")
    if not _lengths(shape):
        raise BadHeader(f"tensor {name} has shape {str(shape)[:80]}, which is not a shape")
    if not _lengths(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise BadHeader(f"tensor {name} has data_offsets {str(offsets)[:80]}, which are not a range")
    tensor, (start, stop) = Tensor(name, dtype, tuple(shape)), offsets
    if tensor.size != stop - start:
        raise BadHeader(
            f"tensor {name}: {dtype} of shape {list(shape)} takes {tensor.size:,} bytes, its range has {stop - start:,}"
        )
    return tensor, start, stop


def _lengths(value: Any) -> bool:
    """A short list of whole numbers that can be lengths: a product of many large ones would take for ever."""
    return (
        isinstance(value, list)
        and len(value) <= 16
        and all(type(number) is int and 0 <= number < _WIDEST for number in value)
    )
