"""From one checkpoint to the files of all types that are asked for, and each compared with what it was made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from so8t.gguf import encode, llamacpp, writer
from so8t.gguf.layout import SourceModel
from so8t.gguf.metadata import Provenance
from so8t.gguf.vocabulary import Vocabulary
from so8t.parity import engines, types
from so8t.parity.engines import Figures, Logits
from so8t.parity.types import Bound
from so8t.stream.pipeline import Written

FULL = ("f32", "f16", "bf16")  # compared with PyTorch; the others with f16
Quantise = Callable[[Path, Path, str], None]  # f16 file, target, type


@dataclass(frozen=True)
class Files:
    """Type -> file of what was asked for; `reference` is f16, perhaps a passing one."""

    by_kind: Mapping[str, Path]
    reference: Path
    digests: Mapping[str, Written]  # by type, of the files that were written here


def make(
    source: SourceModel, vocabulary: Vocabulary, origin: Provenance, kinds: Sequence[str], out: Path, quantise: Quantise
) -> Files:
    """`<name>-<type>.gguf` in `out`; f16 comes first, the quantiser reads it."""
    paths = {kind: out / f"{origin.name}-{kind}.gguf" for kind in kinds}
    needed = any(kind not in FULL for kind in kinds)
    reference = paths.get("f16", out / f"{origin.name}-f16.gguf.passing")
    digests = {}
    if "f16" in paths or needed:
        digests["f16"] = writer.write(source, reference, "f16", origin, vocabulary).digests
    for kind, path in paths.items():
        if kind in encode.STRAIGHT and kind != "f16":
            digests[kind] = writer.write(source, path, kind, origin, vocabulary).digests
        elif kind not in encode.STRAIGHT:
            quantise(reference, path, kind)
    return Files(paths, reference, {kind: digests[kind] for kind in kinds if kind in digests})


def prove_full(
    files: Files, baked: Logits, texts: Sequence[Sequence[int]], named: Mapping[str, Bound], threads: int
) -> dict[str, Any]:
    """Figures of the unquantised types against PyTorch; a bound that is passed is a StageError."""
    proven: dict[str, Any] = {}
    for kind in FULL:
        if path := files.by_kind.get(kind):
            with llamacpp.Model(path, max(map(len, texts)), threads) as model:
                figures = engines.compare(baked, model.logits, texts)
            proven[kind] = _judged("baked", kind, figures, named)
    return proven


def prove_quantised(
    files: Files, texts: Sequence[Sequence[int]], named: Mapping[str, Bound], threads: int
) -> dict[str, Any]:
    """Figures of the other types against f16."""
    proven: dict[str, Any] = {}
    longest = max(map(len, texts))
    for kind, path in files.by_kind.items():
        if kind not in FULL:
            with (
                llamacpp.Model(files.reference, longest, threads) as full,
                llamacpp.Model(path, longest, threads) as quantised,
            ):
                figures = engines.compare(full.logits, quantised.logits, texts)
            proven[kind] = _judged("f16", kind, figures, named)
    return proven


def _judged(against: str, kind: str, figures: Figures, named: Mapping[str, Bound]) -> dict[str, Any]:
    bound = types.of(kind, named)
    types.check(f"{against} -> {kind}", kind, figures, bound)
    return {"against": against, **figures.as_json(), "bound": bound.model_dump()}
