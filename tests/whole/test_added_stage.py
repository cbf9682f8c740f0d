"""Adding a stage is its file, its line in the table of contents and its spec; everything else is generated.

What the pages show of other stages stays true, too.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.house import DOIT
from tests.whole.test_docs import Reader
from tests.whole.tiny import fresh_copy

STAGE = '''"""tallied: how many records each class has."""

from collections import Counter
from pathlib import Path

from so8t.engine.stage import Inputs, Stage
from so8t.formats import records
from so8t.spec.fields import SpecModel


class Spec(SpecModel):
    """What is counted."""

    field: str = "label"
    """The field whose values are counted."""


def build(inputs: Inputs, out: Path, spec: Spec) -> None:
    counts = Counter(record[spec.field] for record in records.read(inputs["labelled"] / "labelled.jsonl"))
    (out / "counts.txt").write_text("".join(f"{name} {count}\\n" for name, count in sorted(counts.items())), "utf-8")


STAGE = Stage("tallied", Spec, build, takes=("labelled/labelled.jsonl",), gives=("counts.txt",))
'''

BY_HAND = {
    "stages/tallied.py": lambda _: STAGE,
    "stages/__init__.py": lambda text: text.replace('    "ollama",\n', '    "ollama",\n    "tallied",\n'),
    "specs/tiny/tallied.yaml": lambda _: "# yaml-language-server: $schema=../schema/tallied.json\nfield: label\n",
}


def doit(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DOIT, *arguments], cwd=project, capture_output=True, encoding="utf-8", timeout=120)


def texts(project: Path) -> dict[str, str]:
    paths = (path for path in project.rglob("*") if path.suffix in (".py", ".md", ".yaml", ".json"))
    return {
        name: path.read_text("utf-8")
        for path in paths
        if not (name := path.relative_to(project).as_posix()).startswith("artifacts/")
    }


@pytest.mark.slow
@pytest.mark.soak
def test_three_files_by_hand_and_the_rest_by_doit_schema(tmp_path: Path) -> None:
    project = fresh_copy(tmp_path / "project")
    before = texts(project)
    for name, written in BY_HAND.items():
        (project / name).write_text(written(before.get(name, "")), "utf-8")

    stale = doit(project, "schema", "--check")
    written = doit(project, "schema")
    fresh = doit(project, "schema", "--check")
    built = doit(project, "tallied", "thinking_sft")

    generated = ["README.md", "docs/specs.md", "docs/stages.md", "specs/schema/tallied.json"]
    assert (stale.returncode, written.returncode, fresh.returncode, fresh.stdout) == (1, 0, 0, "")
    assert written.stdout.splitlines() == [f"{name}: written" for name in generated]
    after = texts(project)
    assert sorted(name for name in after if after[name] != before.get(name)) == sorted([*BY_HAND, *generated])
    assert "| `tallied` | how many records each class has |" in after["README.md"]
    assert "| `tallied` | `labelled` | `counts.txt` |" in after["docs/stages.md"]
    stages = [line.split(" in ")[0] for line in built.stderr.splitlines() if line.startswith("   ")]
    assert (built.returncode, stages[2:]) == (0, ["   labelled: built", "   tallied: built", "   thinking_sft: built"])
    counts = (project / "artifacts/tiny/tallied/counts.txt").read_text("utf-8")
    assert counts == "ALLOW 648\nDENY 648\nESCALATION 648\nREFUSE 648\n"
    assert "tallied          how many records each class has" in doit(project, "list").stdout
    assert '"labelled" -> "tallied"' in doit(project, "graph").stdout
    Reader(project).follow("docs/tour.md")
    Reader(project).follow("docs/maintaining.md")
