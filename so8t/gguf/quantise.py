"""Types that llama.cpp makes from a float16 GGUF: through cyllama, or through the user's own llama-quantize."""

from __future__ import annotations

from pathlib import Path

from so8t import external
from so8t.errors import StageError
from so8t.gguf import encode

# llama.cpp's numbers of file types, by the names that llama-quantize takes
TYPES = {
    "q4_0": 2,
    "q4_1": 3,
    "q5_0": 8,
    "q5_1": 9,
    "q2_k": 10,
    "q3_k_s": 11,
    "q3_k_m": 12,
    "q3_k_l": 13,
    "q4_k_s": 14,
    "q4_k_m": 15,
    "q5_k_s": 16,
    "q5_k_m": 17,
    "q6_k": 18,
    "iq2_xxs": 19,
    "iq2_xs": 20,
    "q2_k_s": 21,
    "iq3_xs": 22,
    "iq3_xxs": 23,
    "iq1_s": 24,
    "iq4_nl": 25,
    "iq3_s": 26,
    "iq3_m": 27,
    "iq2_s": 28,
    "iq2_m": 29,
    "iq4_xs": 30,
    "iq1_m": 31,
    "tq1_0": 36,
    "tq2_0": 37,
}
NEEDS_IMATRIX = frozenset({"iq1_s", "iq1_m", "iq2_xxs", "iq2_xs", "iq2_s", "iq2_m", "iq3_xxs", "iq3_xs", "q2_k_s"})


def known() -> list[str]:
    """Every type that can be asked for."""
    return [*encode.STRAIGHT, *TYPES]


def quantise(source: Path, target: Path, kind: str, threads: int, matrix: Path | None = None) -> None:
    """Through cyllama, bit for bit what llama-quantize writes, with an importance matrix or without."""
    from so8t.gguf import imatrix, llamacpp, weighted

    if matrix:
        weighted.quantize(source, target, TYPES[kind], threads, imatrix.read(matrix).squares)
    else:
        llamacpp.quantize(source, target, TYPES[kind], threads)


def by_program(
    program: str, version: str, source: Path, target: Path, kind: str, threads: int, imatrix: Path | None = None
) -> None:
    """Through llama-quantize, which names its version while it works: it must be the one that the spec names."""
    why = f"gguf: {kind}"
    path = external.find(program, why)
    extra: list[str | Path] = ["--imatrix", imatrix] if imatrix else []
    said = external.run(path, [*extra, source, target, kind.upper(), str(threads)], why)
    if version not in said:
        line = next((line for line in said.splitlines() if "build" in line), "no version")
        raise StageError(
            f"{why}: {path.name} is not version {version} but says {line.strip()!r}; correct quantiser_version"
        )
    if not target.is_file():
        raise StageError(f"{why}: {path.name} wrote no {target.name}")
