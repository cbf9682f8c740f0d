"""What gates do for the tiny model: base, adapter without gates, adapter with gates; same budget, several seeds.

    python benchmarks/gate_figures.py [--seeds 0 1 2] [--profile tiny] [--json FILE]

Needs the profile's base_model, so8t_model, chat_format and thinking_sft (run doit first).
A seed draws the first low-rank weights
and the order of rows; the base is one and the same.  It trains by the same code as the adapter stage, in a process of
its own for each run, and asks every held-out record.  A model of three million parameters proves plumbing: what the
table shows for it need not hold for another.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MEASURES = ("loss", "accuracy", "format_valid", "unsafe_compliance", "over_refusal")


def one(profile: str, seed: int, gates: bool, folder: Path) -> None:
    """Train and score in this process; scores.json in `folder`."""
    sys.path.insert(0, str(ROOT))
    from so8t.engine.plan import load
    from so8t.engine.stage import Inputs
    from stages import adapter, adapter_scores

    rows = load(ROOT, profile).rows
    values = rows["adapter"].values
    values = {
        **values,
        "train": {**values["train"], "seed": seed},
        "gates": {**values["gates"], "train": gates},
    }
    artifacts = ROOT / "artifacts" / profile
    inputs = {name: artifacts / name for name in ("base_model", "so8t_model", "thinking_sft", "chat_format")}
    trained, scored = folder / "adapter", folder / "scores"
    for path in (trained, scored, folder / "logs"):
        path.mkdir()
    adapter.build(Inputs(inputs, {}, folder / "logs"), trained, adapter.Spec.model_validate(values))
    spec = adapter_scores.Spec.model_validate(rows["adapter_scores"].values)
    adapter_scores.build(Inputs({**inputs, "adapter": trained}), scored, spec)


def run(profile: str, seed: int, gates: bool) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name:
        arguments = ["--one", str(seed), "gates" if gates else "none", name, "--profile", profile]
        subprocess.run([sys.executable, __file__, *arguments], check=True)
        scores: dict[str, Any] = json.loads((Path(name) / "scores" / "scores.json").read_text(encoding="utf-8"))
    return scores


def table(found: dict[str, list[dict[str, Any]]], splits: Iterable[str]) -> str:
    """A row for each split and model: the mean over seeds, and from the lowest to the highest."""
    lines = ["| split | model | " + " | ".join(MEASURES) + " |", "|---|---|" + "---|" * len(MEASURES)]
    for split in splits:
        for who, runs in found.items():
            cells = []
            for measure in MEASURES:
                values = [scores[split][measure] for scores in runs]
                spread = f" ({min(values):.3f} to {max(values):.3f})" if len(set(values)) > 1 else ""
                cells.append(f"{statistics.mean(values):.3f}{spread}")
            lines.append(f"| {split} | {who} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--profile", default="tiny")
    parser.add_argument("--json", type=Path, help="also write every run's scores here")
    parser.add_argument("--one", nargs=3, metavar=("SEED", "GATES", "FOLDER"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        seed, gates, folder = given.one
        one(given.profile, int(seed), gates == "gates", Path(folder))
        return
    found: dict[str, list[dict[str, Any]]] = {"base": [], "adapter without gates": [], "adapter with gates": []}
    for seed in given.seeds:
        for who, gates in (("adapter without gates", False), ("adapter with gates", True)):
            scores = run(given.profile, seed, gates)
            found[who].append({split: models["adapter"] for split, models in scores.items()})
            found["base"].append({split: models["base"] for split, models in scores.items()})
    print(table(found, found["base"][0]))
    if given.json:
        given.json.write_text(json.dumps(found, ensure_ascii=False, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
