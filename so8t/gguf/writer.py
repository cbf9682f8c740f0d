"""A checkpoint becomes one GGUF: everything is planned first, then written a few rows at a time.

Equal inputs give equal bytes, whatever the number of threads or the size of a chunk.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, TYPE_CHECKING

from so8t.errors import MissingExtra, StageError
from so8t.gguf import encode, hyperparameters, metadata, shards
from so8t.gguf.layout import Entry, Source, plan
from so8t.gguf.metadata import Pair, Provenance
from so8t.gguf.vocabulary import Vocabulary
from so8t.threads import one_each

if TYPE_CHECKING:
    import torch
    from gguf import GGUFWriter

CHUNK = 1 << 18  # values at once: they stay in the processor's cache from reading to writing


@dataclass(frozen=True)
class Written:
    """What a file holds; `kinds` counts its tensors by type."""

    parameters: int
    kinds: dict[str, int]


def write(
    source: Source, target: Path, kind: str, origin: Provenance, words: Vocabulary, chunk: int = CHUNK
) -> Written:
    """`kind` is f32, f16, bf16 or q8_0; norms stay f32."""
    entries = plan(source, kind)
    parameters = sum(prod(entry.shape) for entry in entries)
    pairs = [
        *metadata.general(origin, parameters),
        *hyperparameters.pairs(source.config, source.family, hyperparameters.FILE_TYPES[kind]),
        *words.pairs,
    ]
    writer = _prepare(source.family.arch, pairs, entries, words)
    try:
        writer.write_header_to_file(target)
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        assert writer.fout is not None
        with one_each():
            _write_values(writer.fout[0], entries, source, writer.data_alignment, chunk)
    finally:
        writer.close()
    return Written(parameters, dict(sorted(Counter(entry.kind for entry in entries).items())))


def _prepare(arch: str, pairs: Sequence[Pair], entries: Sequence[Entry], words: Vocabulary) -> GGUFWriter:
    try:
        from gguf import GGMLQuantizationType, GGUFValueType, GGUFWriter
    except ImportError:
        raise MissingExtra("gguf", "gguf", "writing a GGUF") from None
    from numpy import dtype

    writer = GGUFWriter(None, arch)
    for pair in pairs:
        kind = GGUFValueType.ARRAY if pair.kind.endswith("s") else GGUFValueType[pair.kind.upper()]
        writer.add_key_value(pair.key, pair.value, kind)
    words.special.add_to_gguf(writer, quiet=True)
    for entry in entries:
        stored = GGMLQuantizationType[entry.kind.upper()]
        size = encode.size(entry.kind, prod(entry.shape))
        writer.add_tensor_info(entry.name, entry.shape, dtype("float32"), size, stored)
    return writer


def _write_values(out: IO[bytes], entries: Sequence[Entry], source: Source, alignment: int, chunk: int) -> None:
    _pad(out, alignment)
    current: Entry | None = None
    encoder = encode.Encoder()
    for entry, values in _ahead(_values(entries, source, chunk)):
        if entry is not current:
            _pad(out, alignment)
            current = entry
        out.write(encoder.encode(_checked(entry, values, encoder), entry.kind).data)
    _pad(out, alignment)


def _checked(entry: Entry, values: torch.Tensor, encoder: encode.Encoder) -> torch.Tensor:
    _check_finite(entry, values, "holds values that are infinite or no number: look at the training that made it")
    shifted = values.float() + entry.place.shift if entry.place and entry.place.shift else values
    if entry.kind != "f16":
        return shifted
    halves = encoder.cast(shifted, "f16")
    _check_finite(entry, halves, "has values beyond float16's 65504: take bf16 or f32 in types")
    return halves


def _values(entries: Sequence[Entry], source: Source, chunk: int) -> Iterator[tuple[Entry, torch.Tensor]]:
    import torch

    for entry in entries:
        if entry.tensor is None or entry.place is None:
            yield entry, torch.tensor(entry.values, dtype=torch.float32)
        elif entry.place.rows:
            heads = source.config["num_attention_heads" if entry.place.rows == "query" else "num_key_value_heads"]
            for whole in shards.chunks(entry.tensor, entry.shape[0]):  # rows from all over a head come together
                yield entry, encode.interleave(whole, heads)
        else:
            for part in shards.chunks(entry.tensor, max(1, chunk // entry.tensor.row)):
                yield entry, part


def _ahead(parts: Iterator[tuple[Entry, torch.Tensor]]) -> Iterator[tuple[Entry, torch.Tensor]]:
    """Read the next part while the last one is encoded and written."""
    with ThreadPoolExecutor(1) as reader:
        waiting = reader.submit(next, parts, None)
        while (part := waiting.result()) is not None:
            waiting = reader.submit(next, parts, None)
            yield part


def _check_finite(entry: Entry, values: torch.Tensor, what: str) -> None:
    if not encode.is_finite(values):
        name = entry.tensor.name if entry.tensor else entry.name
        raise StageError(f"gguf: {name} {what}")


def _pad(out: IO[bytes], alignment: int) -> None:
    out.write(b"\0" * (-out.tell() % alignment))
