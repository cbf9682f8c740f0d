"""How well personal data is found on the marked sentences, by kind, beside detect-secrets and Presidio in the same run.

    python benchmarks/personal.py [--peers FOLDER] [--json so8t/report/look/personal.json]

The peers live in a folder of their own:
python -m venv FOLDER && FOLDER/bin/pip install detect-secrets==1.5.0 presidio-analyzer==2.2.366

Of the part that is held out nothing but sums is shown.
A span counts as found by so8t if a finding of its kind covers it whole, and by a peer if one touches it: some report
less than they find.  Presidio is asked for what it knows without a model of a language.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from so8t.corpus import pii
from so8t.evals import personal
from so8t.evals.personal import Figures
from tests.corpus import piisentences, piisets

KINDS = {"detect-secrets": ("secret",), "presidio": ("email", "ip", "card", "phone")}
SCRIPT = Path(__file__).with_name("personal_peers.py")


def shown(figures: Sequence[float] | None) -> str:
    return "{:.3f} ({:.3f} to {:.3f})".format(*figures) if figures else "none found"


def say(part: str, told: Mapping[str, Any]) -> None:
    print(f"\n{part}, {told['texts']:,} texts: found whole of all spans; right of all findings")
    for kind, one in told["kinds"].items():
        print(f"{kind:17} {one['spans']:5} {shown(one['recall']):24} {shown(one['precision'])}")


def python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def asked(folder: Path, texts: Sequence[str]) -> dict[str, Any]:
    command = [str(python_of(folder)), str(SCRIPT)]
    ran = subprocess.run(command, input=json.dumps(texts), capture_output=True, check=False, encoding="utf-8")
    if ran.returncode:
        raise SystemExit(f"the peers in {folder} do not run: {ran.stderr.strip().splitlines()[-1:]}")
    found: dict[str, Any] = json.loads(ran.stdout)
    return found


def seconds(texts: Sequence[str], table: pii.Table) -> float:
    pii.remove(texts[0], table)
    begun = time.process_time()
    for text in texts:
        pii.remove(text, table)
    return time.process_time() - begun


def compare(part: str, lines: piisets.Lines, table: pii.Table, folder: Path) -> None:
    texts = [line["text"] for line in lines]
    ours = personal.measure(lines, table)
    print(f"\n{part}: so8t / the peer")
    for name, told in asked(folder, texts).items():
        theirs = personal.against(lines, told["found"], KINDS[name], touching=True)
        for kind in KINDS[name]:
            recall, precision = (pair(ours, theirs, kind, share) for share in ("recall", "precision"))
            print(f"{name:15} {kind:7} recall {recall}   precision {precision}")
        own = seconds(texts, pii.kinds(KINDS[name], piisets.PUBLIC))
        rates = f"{len(texts) / own:,.0f} / {len(texts) / told['seconds']:,.0f}"
        print(f"{name:15} {rates} texts a second for these kinds, {told['seconds'] / own:.1f} times")


def pair(ours: Mapping[str, Figures], theirs: Mapping[str, Figures], kind: str, name: str) -> str:
    own, other = (getattr(one[kind], name) if kind in one else None for one in (ours, theirs))
    if not (own and own.records and other and other.records):
        return "none found"
    ratio = f"{own.share / other.share:.2f} times" if other.share else "-"
    return f"{own.share:.3f} / {other.share:.3f}, {ratio}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", type=Path, help="the folder of a virtual environment with the peers")
    parser.add_argument("--json", type=Path, help="where the figures go besides, as the data card has them")
    args = parser.parse_args()
    found = piisets.measured()
    for part, told in found.items():
        say(part, told)
    if args.json:
        args.json.write_text(json.dumps(found, ensure_ascii=False, indent=1) + "\n", "utf-8")
    if args.peers is None:
        print("\nNo peer was asked: --peers names the folder where they are, and --help says how they come there.")
        return
    held = piisets.read("heldout")
    compare("held out", held, piisets.of_held_out(held), args.peers)
    compare("tuned", [*piisentences.lines(), *piisets.read("tuned")], piisets.of_tuned(), args.peers)


if __name__ == "__main__":
    main()
