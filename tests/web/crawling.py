"""A crawl in a process of its own, as doit gives it one: `python -m tests.web.crawling SCRATCH OUT SPEC`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]


def command(scratch: Path, out: Path, spec: dict[str, Any]) -> list[str]:
    return [sys.executable, "-m", "tests.web.crawling", str(scratch), str(out), json.dumps(spec)]


def crawl(folder: Path, spec: dict[str, Any], out: str = "crawl") -> str:
    """Crawl into `folder/out`, and what was told."""
    (folder / out).mkdir(parents=True)
    run = subprocess.run(
        command(folder / "scratch", folder / out, spec), cwd=ROOT, capture_output=True, encoding="utf-8", timeout=120
    )
    assert run.returncode == 0, run.stderr
    return run.stderr


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def outcomes(folder: Path) -> dict[str, list[str]]:
    """What was decided of each URL, by its path."""
    return {
        "/" + row["url"].split("/", 3)[3]: [row["outcome"], *row["said"]] for row in rows(folder / "decisions.jsonl")
    }


def kept(folder: Path) -> list[str]:
    return ["/" + row["url"].split("/", 3)[3] for row in rows(folder / "pages.jsonl")]


if __name__ == "__main__":
    from so8t.engine.stage import Inputs
    from stages import crawl as stage

    stage.build(Inputs({}, scratch=Path(sys.argv[1])), Path(sys.argv[2]), stage.Spec.model_validate_json(sys.argv[3]))
