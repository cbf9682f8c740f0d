"""From one checkpoint to the files of all types that are asked for, and each compared with what it was made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from so8t.gguf import encode, llamacpp, writer
from so8t.gguf.full import FULL
from so8t.gguf.layout import SourceModel
from so8t.gguf.llamacpp import Model
from so8t.gguf.metadata import Provenance
from so8t.gguf.talks import Talks
from so8t.gguf.vocabulary import Vocabulary
from so8t.parity import bounds
from so8t.parity.bounds import TypeBounds
from so8t.parity.engines import Logits
from so8t.stream.pipeline import Written

if TYPE_CHECKING:
    from so8t.parity.figures import Figures

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


@dataclass(frozen=True)
class Proven:
    """How near a type is: figures beside their bounds, and how the divergence is spread."""

    figures: dict[str, Any]
    spread: dict[str, Any]


def prove_full(
    files: Files, baked: Logits, talks: Talks, named: Mapping[str, TypeBounds], threads: int
) -> dict[str, Proven]:
    """The unquantised types against PyTorch; a bound that is passed is a StageError."""
    proven: dict[str, Proven] = {}
    for kind in FULL:
        if path := files.by_kind.get(kind):
            with llamacpp.Model(path, talks.longest, threads) as model:
                proven[kind] = _prove("baked", kind, baked, model, talks, named)
    return proven


def prove_quantised(files: Files, talks: Talks, named: Mapping[str, TypeBounds], threads: int) -> dict[str, Proven]:
    """The other types against f16."""
    proven: dict[str, Proven] = {}
    for kind, path in files.by_kind.items():
        if kind not in FULL:
            with (
                llamacpp.Model(files.reference, talks.longest, threads) as full,
                llamacpp.Model(path, talks.longest, threads) as quantised,
            ):
                proven[kind] = _prove("f16", kind, full.logits, quantised, talks, named)
    return proven


@dataclass(frozen=True)
class Beside:
    """Types made in another way, for their figures alone: they are held to no bound, and do not stay."""

    files: Files
    talks: Talks
    quantise: Quantise
    threads: int

    def measure(self, kind: str) -> dict[str, Any]:
        from so8t.gguf import cost
        from so8t.parity.spread import compared, spread

        path = self.files.reference.with_name(f"{kind}.passing")
        self.quantise(self.files.reference, path, kind)
        with (
            llamacpp.Model(self.files.reference, self.talks.longest, self.threads) as full,
            llamacpp.Model(path, self.talks.longest, self.threads) as quantised,
        ):
            found = spread(
                compared(full.logits, quantised.logits, self.talks.ids, f"{kind} without imatrix"), self.talks.sections
            )
        entry = cost.of_files({kind: path}, self.files.reference)[kind]
        path.unlink()
        return {**entry, "against": "f16", **found}


def _prove(
    against: str, kind: str, reference: Logits, model: Model, talks: Talks, named: Mapping[str, TypeBounds]
) -> Proven:
    from so8t.parity.figures import figures
    from so8t.parity.spread import compared, spread

    parts = compared(reference, model.logits, talks.ids, kind)
    found = checked(against, kind, figures(parts), named, model.vocab_size)
    return Proven(found, {"against": against, **spread(parts, talks.sections)})


def checked(against: str, kind: str, figures: Figures, named: Mapping[str, TypeBounds], words: int) -> dict[str, Any]:
    """`words` is the size of the vocabulary: a model that chooses among most of it has learned nothing."""
    allowed = bounds.of_type(kind, named)
    advice = f"{_advice(kind)}, or accept it with bounds.{kind} in gguf.yaml"
    if figures.reference_perplexity > words / 2:
        advice += (
            f"; the bounds are about trained models, and this one has learned nothing: its perplexity is "
            f"{figures.reference_perplexity:,.0f}, with a vocabulary of {words:,}"
        )
    bounds.check(f"gguf: {against} -> {kind}", figures, bounds.problems(figures, allowed), advice)
    return {"against": against, **figures.apart(), "bounds": allowed.model_dump()}


def _advice(kind: str) -> str:
    if kind in ("f32", "f16"):
        return "the conversion is wrong, or the weights do not fit into the type: compare with f32 and bf16 in types"
    if kind in ("bf16", "q8_0"):
        return "try f16 in types"
    return "try q5_k_m, q6_k or q8_0 in types, or an imatrix"
