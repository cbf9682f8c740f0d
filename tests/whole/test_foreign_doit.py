"""Other people's doit: in a project that is not ours, doit's verbs say and do what they would without this package."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

DODO = """
DOIT_CONFIG = {"backend": "%s", "dep_file": "state.db", "default_tasks": ["twice", "group", "broken"]}


def task_twice():
    def twice(targets):
        with open("in.txt") as given, open(targets[0], "w") as out:
            out.write(given.read() * 2)

    return {"actions": [twice], "file_dep": ["in.txt"], "targets": ["out.txt"], "clean": True, "doc": "the text, twice"}


def task_group():
    for name in "ab":
        yield {"name": name, "actions": [f"echo {name} > {name}.txt"], "targets": [f"{name}.txt"], "uptodate": [True]}


def task_broken():
    return {"actions": ["exit 3"], "file_dep": ["out.txt"]}
"""

VERBS = (
    "list --all --status",
    "run --continue",
    "run twice group",
    "list --all --status",
    "info twice",
    "ignore twice",
    "run twice",
    "forget twice",
    "run twice",
    "forget group",
    "list --all --status",
    "clean --dry-run",
    "clean twice",
    "run --continue",
    "clean --forget twice group",
    "list --all --status",
    "forget --all",
    "run group",
)

# doit finds commands by their entry points; without this package it finds those of other packages alone
WITHOUT = """
import sys
from importlib import metadata

found = metadata.entry_points
def others(**wanted):
    return [point for point in found(**wanted) if not point.value.startswith("so8t.")]
metadata.entry_points = others

from doit.doit_cmd import DoitMain
sys.exit(DoitMain().run(sys.argv[1:]))
"""


@dataclass(frozen=True)
class Screen:
    verb: str
    code: int
    out: str
    err: str
    files: dict[str, str]


def played(folder: Path, backend: str, doit: list[str]) -> list[Screen]:
    folder.mkdir()
    (folder / "dodo.py").write_text(DODO % backend, "utf-8")
    (folder / "in.txt").write_text("日本語\n", "utf-8")
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUTF8": "1"}
    screens = []
    for verb in VERBS:
        ran = subprocess.run(
            [*doit, *verb.split()], cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=60
        )
        texts = {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.txt"))}
        screens.append(Screen(verb, ran.returncode, ran.stdout, ran.stderr, texts))
    return screens


@pytest.mark.parametrize(
    "backend", ["json", *(pytest.param(name, marks=pytest.mark.soak) for name in ("dbm", "sqlite3"))]
)
def test_doit_s_verbs_are_doit_s_own(tmp_path: Path, backend: str) -> None:
    ours = played(tmp_path / "with", backend, [sys.executable, "-m", "doit"])
    theirs = played(tmp_path / "without", backend, [sys.executable, "-c", WITHOUT])

    assert ours == theirs
    assert [screen.code for screen in ours if screen.verb == "run --continue"] == [1, 1]
    runs = [screen.out for screen in ours if screen.verb == "run twice"]
    assert runs == ["!! twice\n", ".  twice\n"]  # ignored, then forgotten


@pytest.mark.parametrize("command", ["why", "verify", "accept twice", "gc", "graph", "serve", "audit"])
def test_our_commands_say_that_the_project_is_not_ours(tmp_path: Path, command: str) -> None:
    (tmp_path / "dodo.py").write_text(DODO % "json", "utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "doit", *command.split()],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
    )

    said = "ERROR: this dodo.py does not belong to a so8t project: run the command in the folder of one"
    assert (ran.returncode, [line for line in ran.stderr.splitlines() if line]) == (3, [said])


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "stages/__init__.py does not exist here: run this in the folder of a so8t project's dodo.py"),
        (
            {"stages/__init__.py": "ACTS = 3\n"},
            "stages/__init__.py has no STAGES: run this in the folder of a so8t project's dodo.py",
        ),
    ],
)
def test_schema_says_that_there_are_no_stages(tmp_path: Path, files: dict[str, str], said: str) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(text, "utf-8")
    ran = subprocess.run(
        [sys.executable, "-m", "doit", "schema"], cwd=tmp_path, capture_output=True, encoding="utf-8", timeout=60
    )

    said = f"ERROR: {said}"
    assert (ran.returncode, [line for line in ran.stderr.splitlines() if line]) == (3, [said])
