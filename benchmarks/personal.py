"""How well personal data is found on the marked sentences, by kind: recall and precision with intervals.

    python benchmarks/personal.py [--json so8t/report/look/personal.json]

Of the part that is held out nothing but sums is shown.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.corpus import piisets


def shown(figures: Sequence[float] | None) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*figures) if figures else "none found"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="where the figures go besides, as the data card has them")
    args = parser.parse_args()
    found = piisets.measured()
    for part, told in found.items():
        print(f"\n{part}, {told['texts']:,} texts: found whole of all spans; right of all findings")
        for kind, one in told["kinds"].items():
            print(f"{kind:17} {one['spans']:5} {shown(one['recall']):24} {shown(one['precision'])}")
    if args.json:
        args.json.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
