"""The data of the shipped `tiny` profile, built once for all workers by the README's first command."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from filelock import FileLock

from tests.conftest import ROOT
from tests.house import DOIT

COMMAND = "doit thinking_sft"


def fresh_copy(project: Path) -> Path:
    """The checkout as a newcomer has it; so8t itself is the one that is installed."""
    for name in ("stages", "specs", "docs"):
        shutil.copytree(ROOT / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("dodo.py", "pyproject.toml", "README.md", "constraints.txt", "justfile"):
        shutil.copy(ROOT / name, project / name)
    for name in ("so8t", "tests", "benchmarks"):  # for lists of folders; empty, so that nothing is imported from here
        (project / name).mkdir()
    return project


def built(base: Path) -> tuple[Path, str]:
    """A project in which the command ran, and what it said; nobody changes it.  `base` is pytest's folder."""
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    project, said = shared / "tiny", shared / "tiny.txt"
    with FileLock(shared / "tiny.lock"):
        if not said.exists():
            shutil.rmtree(project, ignore_errors=True)  # what a failure left
            fresh_copy(project)
            said.write_text(_doit(project), "utf-8")
    return project, said.read_text("utf-8")


def _doit(project: Path) -> str:
    ran = subprocess.run(
        [*DOIT, *COMMAND.split()[1:]], cwd=project, timeout=120, encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout
    return ran.stdout
