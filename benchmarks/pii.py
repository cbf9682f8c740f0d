"""How many records a second lose their personal data on one core: with every kind, without names, with the first seven.

python benchmarks/pii.py --records 20000 --rounds 3
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from so8t.corpus import pii
from tests.corpus import piisentences

FIRST_SEVEN = ("secret", "email", "ip", "card", "my_number", "address", "phone")
TABLES = {
    "every kind": pii.KINDS,
    "every kind but names": tuple(kind for kind in pii.KINDS if kind not in ("name", "birth_date")),
    "the first seven": FIRST_SEVEN,
}
TARGET = 5_000


def seconds(texts: Sequence[str], table: pii.Table) -> float:
    started = time.process_time()
    for text in texts:
        pii.remove(text, table)
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    texts = [line["text"] for line in piisentences.lines(args.records)]
    print(f"{len(texts):,} records of {sum(map(len, texts)) / len(texts):.0f} characters, CPU of one core")
    tables = {name: pii.kinds(kinds, ("0120", "0570", "0800", "0990")) for name, kinds in TABLES.items()}
    pii.remove("山田さん", tables["every kind"])  # the lists of names are loaded once
    rounds: dict[str, list[float]] = {name: [] for name in tables}
    for _ in range(args.rounds):
        for name, table in tables.items():
            rounds[name].append(len(texts) / seconds(texts, table))
    for name, rates in rounds.items():
        print(f"{name:22} {statistics.median(rates):9,.0f} records/s")
    if statistics.median(rounds["every kind"]) < TARGET:
        raise SystemExit(f"fewer than {TARGET:,} records a second with every kind")


if __name__ == "__main__":
    main()
