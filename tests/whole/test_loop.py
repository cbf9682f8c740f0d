"""The loop of everyone who changes so8t: recipes that exist, one spelling of each command, a workflow that is valid."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, workers
from tests.house import DOIT
from tests.whole.test_docs import TEST, blocks
from tests.whole.test_lint import COMMANDS

WORKFLOW = ".github/workflows/ci.yml"
NAMED = ["README.md", "CONTRIBUTING.md", "SECURITY.md", WORKFLOW, ".pre-commit-config.yaml"]


def tool(name: str) -> str:
    """A program that pip installed beside this interpreter."""
    found = shutil.which(name, path=str(Path(sys.executable).parent))
    assert found, f"{name} is not installed; run pip install -e '.[dev]'"
    return found


def just(*arguments: str) -> list[str]:
    """What just prints: the recipes' names, or with --dry-run the commands that it would run."""
    ran = subprocess.run(
        [tool("just"), *arguments], cwd=ROOT, capture_output=True, check=True, text=True,
        env={"PYTHON": ".venv/bin/python", "PATH": ""},
    )  # fmt: skip
    return (ran.stdout + ran.stderr).splitlines()


def workflow() -> Any:
    return yaml.safe_load((ROOT / WORKFLOW).read_text("utf-8"))


def test_the_recipes_are_these() -> None:
    (names,) = just("--summary")

    assert set(names.split()) == {
        *("check", "fix", "fast", "test", "soak", "docs", "bench", "release-check", "install", "setup"),
    }


@pytest.mark.parametrize("page", NAMED)
def test_every_recipe_that_is_named_exists(page: str) -> None:
    text = (ROOT / page).read_text("utf-8")
    named = set(re.findall(r"(?:`|run: |entry: |PYTHON=\S+ )just ([a-z-]+)", text))

    assert named <= set(just("--summary")[0].split())
    assert named or page == "SECURITY.md"


def test_contributing_describes_every_recipe() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")

    assert [name for name in just("--summary")[0].split() if f"`just {name}" not in text] == []


def test_check_is_what_the_suite_checks() -> None:
    spelled = [" ".join(command).replace(" ".join(DOIT), ".venv/bin/python -m doit") for command in COMMANDS.values()]

    assert just("--dry-run", "check") == [line.replace(sys.executable, ".venv/bin/python") for line in spelled]


@pytest.mark.skipif(sys.platform == "win32", reason="there the recipe has no .ci/browser")
def test_test_is_the_readmes_command() -> None:
    assert [line.strip() for line in just("--dry-run", "test")] == [TEST]


def test_setup_is_the_readmes_command() -> None:
    (readme,) = [block.text for block in blocks("README.md") if block.kind == "sh setup"]

    said = " && ".join(just("--dry-run", "setup"))
    assert said.replace(".venv/bin/python -m doit", ".venv/bin/doit") == readme


@pytest.mark.parametrize("script", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py")))
def test_bench_takes_any_script_and_its_options(script: str) -> None:
    assert just("--dry-run", "bench", script, "--rounds", "3") == [
        f".venv/bin/python benchmarks/{script}.py --rounds 3"
    ]


@pytest.mark.parametrize(
    ("named", "cores", "expected"),
    [
        (["tests"], 2, 2),
        (["tests/gate", "tests/spec"], 2, 2),
        (["tests"], 16, 4),
        (["tests"], 1, 0),
        (["tests/gate/test_fold.py"], 2, 0),
        (["tests/gate/test_fold.py::test_it[a.b]"], 16, 0),
        (["tests/gate/test_fold.py", "tests/gate/test_layer.py"], 2, 2),
    ],
)
def test_one_file_or_one_test_starts_no_workers(named: list[str], cores: int, expected: int) -> None:
    assert workers(named, cores) == expected


def test_contributing_lists_what_moved_to_the_soak() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    soaked = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if re.search(r"\bpytest\.mark\.soak\b", path.read_text("utf-8"))
    }

    assert soaked == set(re.findall(r"^\| `(tests/\S+)`: ", text, re.MULTILINE))


# ---- the workflow --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        [tool("check-jsonschema"), "--quiet", "--builtin-schema", "vendor.github-workflows", WORKFLOW],
        [tool("zizmor"), "--quiet", "--offline", "--no-progress", WORKFLOW],
    ],
    ids=["schema", "zizmor"],
)
def test_the_workflow_is_valid_and_safe(command: list[str]) -> None:
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)

    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_workflow_reads_only_what_its_matrix_has() -> None:
    matrix = workflow()["jobs"]["fast"]["strategy"]["matrix"]

    assert set(re.findall(r"\bmatrix\.(\w+)", (ROOT / WORKFLOW).read_text("utf-8"))) == set(matrix)
    assert matrix["os"] == ["ubuntu-latest", "macos-latest", "windows-latest"]
    assert matrix["python"] == ["3.10", "3.11", "3.12", "3.13"]


def test_each_job_calls_our_commands_and_the_soak_is_scheduled() -> None:
    described = workflow()
    ran = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in described["jobs"].items()}

    bootstrap = "python -m pip install rust-just"
    assert ran == {
        "fast": [bootstrap, "just install", "just install ''", "just check", "just fast"],
        "whole": [".ci/run"],
        "soak": [bootstrap, "just install", "just soak"],
    }
    assert described[True]["schedule"] == [{"cron": "17 18 * * *"}]  # YAML 1.1 reads `on` as true
    assert "schedule" in described["jobs"]["soak"]["if"]
