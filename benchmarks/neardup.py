"""Near-duplicates: so8t against bare rensa, which does not check its candidates, on the same corpus in one run.

    python benchmarks/neardup.py [--records 200000] [--rounds 3]

A seeded Japanese-like corpus of about 500 bytes a record holds 5 % exact and 10 % near copies of earlier records.
Each tool runs in its own process, in turn, so that peak memory is its own.
Recall: the near copies whose true Jaccard similarity to their source reaches the threshold and which were dropped.
Precision: the dropped records that truly reach it with the record they were matched to (for bare rensa: with any of
the records that its LSH returned).
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from so8t.corpus import duplicates, neardup

SETTINGS = neardup.Settings()
_KANJI = "日本東京会社員学校時間人生方法問題相談確認申請手続契約費用年月部長課書類電話番号予定変更連絡報告資料"
_KANA = "あいうえおかきくけこさしすせそたちつてとなにぬねのはひふへほまみむめもやゆよらりるれろわをん"
_PARTICLES = (
    "は",
    "が",
    "を",
    "に",
    "で",
    "と",
    "の",
    "も",
    "から",
    "まで",
    "について",
    "ので",
    "ます。",
    "です。",
    "ですか？",
)


def corpus(count: int, seed: int = 20) -> tuple[list[str], dict[int, int]]:
    """The texts, and for every planted near copy the row it was made from."""
    rng = random.Random(seed)
    words = [_word(rng) for _ in range(30_000)]
    texts: list[str] = []
    originals: list[int] = []
    planted: dict[int, int] = {}
    while len(texts) < count:
        draw = rng.random()
        if draw < 0.85 or len(texts) < 100:
            originals.append(len(texts))
            texts.append(_sentence(rng, words))
            continue
        source = rng.choice(originals)  # never a copy of a copy: the record it must match is one that is kept
        if draw < 0.90:
            texts.append(texts[source])
        else:
            planted[len(texts)] = source
            texts.append(_edited(rng, texts[source]))
    return texts, planted


def _word(rng: random.Random) -> str:
    letters = _KANJI if rng.random() < 0.6 else _KANA
    return "".join(rng.choices(letters, k=rng.randint(1, 4)))


def _sentence(rng: random.Random, words: Sequence[str]) -> str:
    size = rng.randint(110, 225)
    pieces: list[str] = []
    length = 0
    while length < size:
        pieces += rng.choice(words), rng.choice(_PARTICLES)
        length += len(pieces[-1]) + len(pieces[-2])
    return "".join(pieces)


def _edited(rng: random.Random, text: str) -> str:
    letters = list(text)
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(letters))
        letters[at] = rng.choice((letters[at] + rng.choice(_KANJI), rng.choice(_KANA), ""))
    return "".join(letters)


def run_bare(texts: Sequence[str], on_drop: Callable[[int, list[int]], None]) -> None:
    """rensa as its README shows it: 128 permutations in 16 bands of 8, a collision is a duplicate."""
    from rensa import RMinHash, RMinHashLSH

    lsh = RMinHashLSH(0.8, 128, 16)
    for row, text in enumerate(texts):
        sketch = RMinHash(num_perm=128, seed=42)
        sketch.update([text[start : start + 5] for start in range(len(text) - 4)])
        candidates = lsh.query(sketch)
        if candidates:
            on_drop(row, candidates)
        else:
            lsh.insert(row, sketch)


def run_ours(texts: Sequence[str], on_drop: Callable[[int, list[int]], None]) -> None:
    """Comparable form, exact and near duplicates, every pair verified; texts are read again by row."""

    def parts(row: int) -> neardup.Parts:
        return (neardup.comparable(texts[row]),)

    rows = np.arange(len(texts))
    with TemporaryDirectory() as folder, duplicates.sweep(map(parts, rows), SETTINGS, Path(folder) / "marks") as marks:
        for row, duplicate in duplicates.find(marks, rows, parts, SETTINGS, Path(folder) / "near").items():
            on_drop(row, [duplicate.of])


TOOLS = {"rensa": run_bare, "so8t": run_ours}


def measure(tool: str, count: int) -> dict[str, float]:
    texts, planted = corpus(count)
    idle = peak_mib()
    dropped: dict[int, list[int]] = {}
    wall, cpu = time.perf_counter(), time.process_time()
    TOOLS[tool](texts, dropped.__setitem__)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    peak = peak_mib()

    def near(left: int, right: int) -> bool:
        return (
            neardup.similarity(*(neardup.gram_sets((neardup.comparable(texts[r]),), 5) for r in (left, right))) >= 0.8
        )

    true_copies = [row for row, source in planted.items() if near(row, source)]
    right = sum(any(near(row, of) for of in candidates) for row, candidates in dropped.items())
    return {
        "wall_s": wall,
        "cpu_s": cpu,
        "kept": len(texts) - len(dropped),
        "planted": len(true_copies),
        "recall": sum(row in dropped for row in true_copies) / len(true_copies),
        "precision": right / len(dropped),
        "peak_mib": peak,
        "added_mib": peak - idle,
    }


def peak_mib() -> float:
    """Peak resident memory of this process, 0 where the platform does not tell."""
    try:
        import resource
    except ImportError:
        return 0.0
    unit = 1 << 20 if sys.platform == "darwin" else 1 << 10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tool", choices=TOOLS, help="measure one tool in this process and print JSON")
    options = parser.parse_args()
    if options.tool:
        print(json.dumps(measure(options.tool, options.records)))
        return
    ratios: dict[str, list[float]] = {"wall_s": [], "cpu_s": []}  # on a busy machine only the second means much
    for _ in range(options.rounds):
        pair = {tool: _in_process(tool, options.records) for tool in TOOLS}
        for clock, ratio in ratios.items():
            ratio.append(pair["so8t"][clock] / pair["rensa"][clock])
        for tool, figures in pair.items():
            print(f"{tool:6}", " ".join(f"{name}={value:.4g}" for name, value in figures.items()), flush=True)
    for clock, ratio in ratios.items():
        print(f"so8t / rensa, {clock}, median of {options.rounds} pairs: {statistics.median(ratio):.2f} (limit 1.5)")


def _in_process(tool: str, records: int) -> dict[str, float]:
    command = [sys.executable, str(Path(__file__)), "--tool", tool, "--records", str(records)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


if __name__ == "__main__":
    main()
