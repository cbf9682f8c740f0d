"""SIGKILL at seeded random moments of a whole data build, the real stages, the whole process group."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from so8t.store import artifact
from so8t.store.layout import Layout
from stages import STAGES
from tests.house import DOIT
from tests.whole.pico import Pico

pytestmark = pytest.mark.slow

LANES = 2


def digests(project: Path) -> dict[str, bytes]:
    """Every file of every published artifact, manifests included."""
    base = project / "artifacts" / "tiny"
    return {
        path.relative_to(base).as_posix(): path.read_bytes()
        for stage in STAGES
        for path in sorted((base / stage).rglob("*"))
        if path.is_file()
    }


def builds(project: Path) -> Counter[str]:
    """How often each stage was built to its end."""
    journal = project / "artifacts" / ".so8t" / "journal.jsonl"
    lines = journal.read_text("utf-8").splitlines() if journal.exists() else []
    return Counter(entry["stage"] for entry in map(json.loads, lines) if entry["outcome"] == "built")


def start(project: Path) -> subprocess.Popen[bytes]:
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*DOIT, "thinking_sft"], cwd=project, start_new_session=True, **quiet)


def crash(project: Path, seed: int, kills: int, length: float, good: dict[str, bytes]) -> int:
    """Kill builds until `kills` of them died at work, and as many finished stages were there to be damaged.

    Each is checked after it; how many finished stages they met.
    """
    luck = random.Random(seed)
    survived = died = 0
    while died < kills or survived < kills:
        doing = start(project)
        try:
            code = doing.wait(timeout=luck.uniform(0.0, length))
        except subprocess.TimeoutExpired:
            os.killpg(doing.pid, signal.SIGKILL)
            code = doing.wait()
        died += code == -signal.SIGKILL
        layout = Layout(project, project / "artifacts", "tiny")
        for stage in STAGES:
            found = artifact.inspect(layout, stage, thorough=True)
            assert found.damage == (), f"seed {seed}, kill {died}"
            survived += found.manifest is not None
        there = digests(project)
        assert there == {name: good[name] for name in there}, f"seed {seed}, kill {died}"
        assert max(builds(project).values(), default=0) <= 1, f"seed {seed}, kill {died}: a finished stage ran again"
        if code == 0:
            assert there == good
            shutil.rmtree(project / "artifacts")
    assert start(project).wait(timeout=120) == 0
    assert digests(project) == good
    return survived


@pytest.mark.parametrize("kills", [4, pytest.param(100, marks=pytest.mark.soak)])
def test_kills_leave_nothing_wrong_and_nothing_to_do_twice(tmp_path: Path, root: Path, kills: int) -> None:
    whole = Pico(make(tmp_path / "whole"), root)
    began = time.monotonic()
    assert start(whole.path).wait(timeout=120) == 0
    length = time.monotonic() - began
    good = digests(whole.path)
    lanes = [Pico(make(tmp_path / f"lane{lane}"), root).path for lane in range(LANES)]

    with ThreadPoolExecutor(LANES) as pool:
        runs = [pool.submit(crash, project, seed, kills // LANES, length, good) for seed, project in enumerate(lanes)]
        survived = [run.result() for run in runs]

    assert sum(survived) >= kills


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder
