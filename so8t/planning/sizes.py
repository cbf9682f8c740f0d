"""What each stage of the flow will leave on the disk, before it is built.  Pure.

Figures of models follow from their shape; those of texts were measured on the sample, whose records are short.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from so8t.planning.bases import Base

MIB = 1 << 20
# bits of a weight in each type of a GGUF; where a row does not divide into blocks of 256, llama.cpp takes others
BITS = {
    "f32": 32.0,
    "f16": 16.0,
    "bf16": 16.0,
    "q8_0": 8.5,
    "q6_k": 6.56,
    "q5_0": 5.5,
    "q5_1": 6.0,
    "q5_k_s": 5.54,
    "q5_k_m": 5.7,
    "q4_0": 4.55,
    "q4_1": 5.0,
    "q4_k_s": 4.6,
    "q4_k_m": 4.85,
    "q3_k_s": 3.5,
    "q3_k_m": 3.9,
    "q3_k_l": 4.3,
    "q2_k": 3.0,
    "q2_k_s": 2.8,
    "tq1_0": 1.7,
    "tq2_0": 2.1,
    "iq4_nl": 4.55,
    "iq4_xs": 4.3,
    "iq3_m": 3.7,
    "iq3_s": 3.45,
    "iq3_xs": 3.3,
    "iq3_xxs": 3.1,
    "iq2_m": 2.7,
    "iq2_s": 2.5,
    "iq2_xs": 2.35,
    "iq2_xxs": 2.1,
    "iq1_m": 1.75,
    "iq1_s": 1.6,
}
ODD_BLOCKS = 1.28  # then a k-quant is so much larger
BLOCK = 256
OTHERS = {"curves": 0.6 * MIB, "adapter_scores": 0.3 * MIB, "evaluation": 2.0 * MIB, "report": 0.7 * MIB}


@dataclass(frozen=True)
class Texts:
    """What raw reads."""

    records: int
    size: int


def texts(read: Texts) -> Iterator[tuple[str, list[float]]]:
    raw = read.size + 180.0 * read.records
    yield "raw", [raw]
    yield "cleaned", [raw]
    yield "labelled", [raw + 40.0 * read.records]
    whole = read.size + 1140.0 * read.records
    yield "thinking_sft", [whole, 0.75 * whole, 0.25 * whole]


def models(base: Base, values: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, list[float]]]:
    files = [float(base.stored), 0.2 * MIB]
    adapter, gguf = values.get("adapter", {}), values.get("gguf", {})
    yield "base_model", files
    rank = adapter.get("lora", {}).get("r", 0)
    yield "adapter", [4.0 * rank * sum(a + b for a, b in base.linear), 0.2 * MIB]
    for name in ("merged_model", "baked_model"):
        yield name, files
    yield "gguf", [weights(base, kind) for kind in gguf.get("types", ())]


def weights(base: Base, kind: str) -> float:
    bits = BITS.get(kind, 5.0)
    return base.parameters * bits * (ODD_BLOCKS if "k" in kind and base.hidden % BLOCK else 1.0) / 8 + 0.08 * MIB


def kept(files: list[float], copy_below: int, precious: bool) -> float:
    """On the disk: what the store copies lies there twice, what it links once."""
    return sum(size * (2 if precious or size < copy_below else 1) for size in files)
