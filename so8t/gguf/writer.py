"""A checkpoint becomes one GGUF: everything is planned first, then written a few rows at a time.

Equal inputs give equal bytes, whatever the number of threads or the size of a chunk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

from so8t.errors import MissingExtra, StageError
from so8t.gguf import encode, hyperparameters, metadata, stripping
from so8t.gguf.layout import Entry, SourceModel, plan
from so8t.gguf.metadata import Pair, Provenance
from so8t.gguf.vocabulary import Vocabulary
from so8t.store import running
from so8t.stream import pipeline
from so8t.stream.buffers import Buffers
from so8t.stream.pipeline import Pipeline, evenly
from so8t.stream.threads import one_each
from so8t.weights import reader
from so8t.weights.sound import is_sound

if TYPE_CHECKING:
    import torch
    from gguf import GGUFWriter

CHUNK = 1 << 18  # values at once: they stay in the processor's cache from reading to writing
ALIGNMENT = 32  # of every tensor's values; the format's own
_WORKERS = 2


@dataclass(frozen=True)
class Written:
    """What a file holds; `kinds` counts its tensors by type."""

    parameters: int
    kinds: dict[str, int]
    digests: pipeline.Written


def write(
    source: SourceModel, target: Path, kind: str, origin: Provenance, vocabulary: Vocabulary, chunk: int = CHUNK
) -> Written:
    """`kind` is f32, f16, bf16 or q8_0; norms stay f32."""
    entries = plan(source, kind)
    parameters = sum(prod(entry.shape) for entry in entries)
    pairs = [
        *metadata.general(replace(origin, name=stripping.title(origin.name, vocabulary.strips)), parameters),
        *hyperparameters.pairs(source.config, source.family, hyperparameters.FILE_TYPES[kind]),
        *vocabulary.pairs,
    ]
    size = header(target, source.family.arch, pairs, entries, vocabulary)
    with (
        reader.open_folder(source.folder, "gguf") as weights,
        Pipeline(_Filling(source, weights, chunk).fill, _WORKERS, sha256=True) as pieces,
        one_each(),
        target.open("r+b") as out,
    ):
        head = out.read(size)
        digests = pieces.write(out, head, _parts(entries, source, ALIGNMENT))
    return Written(parameters, dict(sorted(Counter(entry.kind for entry in entries).items())), digests)


def header(target: Path, arch: str, pairs: Sequence[Pair], entries: Sequence[Entry], vocabulary: Vocabulary) -> int:
    """Write all that stands before the tensors' values; its size."""
    writer = _prepare(arch, pairs, entries, vocabulary)
    try:
        writer.write_header_to_file(target)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
    finally:
        writer.close()
    with target.open("ab") as out:
        return out.tell() + out.write(bytes(-out.tell() % ALIGNMENT))


def _prepare(arch: str, pairs: Sequence[Pair], entries: Sequence[Entry], vocabulary: Vocabulary) -> GGUFWriter:
    try:
        from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter
    except ImportError:
        raise MissingExtra("gguf", "gguf", "writing a GGUF") from None
    from numpy import dtype

    writer = GGUFWriter(None, arch)
    for pair in pairs:
        kind = GGUFValueType.ARRAY if pair.kind.endswith("s") else GGUFValueType[pair.kind.upper()]
        writer.add_key_value(pair.key, pair.value, kind)
    vocabulary.special.add_to_gguf(writer, quiet=True)
    for entry in entries:
        stored = GGMLQuantizationType[entry.kind.upper()]
        size = encode.size(entry.kind, prod(entry.shape))
        writer.add_tensor_info(entry.name, entry.shape, dtype("float32"), size, stored)
    return writer


@dataclass(frozen=True)
class _Part:
    """Rows of a tensor, and the zeros that follow its last ones."""

    entry: Entry
    start: int
    stop: int
    padding: int = 0

    @property
    def values(self) -> int:
        return (self.stop - self.start) * prod(self.entry.shape[1:])

    @property
    def size(self) -> int:
        return encode.size(self.entry.kind, self.values) + self.padding


def _parts(entries: Sequence[Entry], source: SourceModel, alignment: int) -> Iterator[_Part]:
    for at, entry in enumerate(entries):
        running.tell("tensor", at, len(entries), part="writing")
        rows = entry.shape[0] if entry.shape else 1
        size = encode.size(entry.kind, prod(entry.shape))
        unit = rows // heads if (heads := _heads(entry, source)) else 1  # rows from all over a head come together
        for start, stop in evenly(rows // unit, max(1, pipeline.PIECE * rows // (unit * max(1, size)))):
            last = stop * unit == rows
            yield _Part(entry, start * unit, stop * unit, -size % alignment if last else 0)


def _heads(entry: Entry, source: SourceModel) -> int:
    """Heads whose rows change places; 0 if none do."""
    if entry.conversion is None or not entry.conversion.rows:
        return 0
    return int(source.config["num_attention_heads" if entry.conversion.rows == "query" else "num_key_value_heads"])


class _Filling:
    """Bytes of parts; called from several threads."""

    def __init__(self, source: SourceModel, weights: reader.Checkpoint, chunk: int) -> None:
        self._source, self._weights, self._chunk = source, weights, chunk
        self._buffers, self._encoder = Buffers(), encode.Encoder()

    def fill(self, part: _Part, into: memoryview) -> None:
        import torch

        entry, out, end = part.entry, torch.frombuffer(into, dtype=torch.uint8), 0
        rows = self._rows(part)
        for first, last in evenly(len(rows), max(1, self._chunk // max(1, prod(rows.shape[1:])))):
            encoded = self._encoder.encode(self._checked(entry, rows[first:last]), entry.kind)
            start, end = end, end + len(encoded)
            out[start:end] = torch.from_numpy(encoded)
        out[end:] = 0

    def _rows(self, part: _Part) -> torch.Tensor:
        import torch

        entry = part.entry
        if entry.tensor is None:
            return torch.tensor(entry.values[part.start : part.stop], dtype=torch.float32)
        size = (part.stop - part.start) * entry.tensor.row_bytes
        memory = self._buffers.get("rows", (size,), torch.uint8).numpy().data
        self._weights.read(entry.tensor.name, part.start, part.stop, memory)
        rows = reader.as_rows(memory, entry.tensor, part.stop - part.start)
        if heads := _heads(entry, self._source):
            rows = encode.interleave(rows, heads * len(rows) // entry.shape[0])
        return rows if rows.dim() else rows.reshape(1)

    def _checked(self, entry: Entry, values: torch.Tensor) -> torch.Tensor:
        _check_sound(entry, values, "holds values that are infinite or NaN: look at the training that made it")
        shifted = values.float() + entry.conversion.shift if entry.conversion and entry.conversion.shift else values
        if entry.kind != "f16":
            return shifted
        halves = self._encoder.cast(shifted, "f16")
        _check_sound(entry, halves, "has values beyond float16's 65504: take bf16 or f32 in types")
        return halves


def _check_sound(entry: Entry, values: torch.Tensor, what: str) -> None:
    if not is_sound(values):
        name = entry.tensor.name if entry.tensor else entry.name
        raise StageError(f"gguf: {name} {what}")
