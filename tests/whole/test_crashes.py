"""SIGKILL at seeded random moments of a whole data build, the real stages, the whole process group."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from so8t.store import artifact
from so8t.store.layout import Layout
from stages import STAGES
from tests import warm
from tests.house import DOIT
from tests.whole.pico import Pico

pytestmark = pytest.mark.slow

STARTING = 0.5  # seconds until a stage's process works


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


def start(project: Path) -> subprocess.Popen[bytes] | warm.Doit:
    if warm.IS_POSSIBLE:
        return warm.Doit(["thinking_sft"], project, os.environ, of="data")
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return subprocess.Popen([*DOIT, "thinking_sft"], cwd=project, start_new_session=True, **quiet)


def lengths(project: Path) -> dict[str, float]:
    """Seconds that each stage took, in their order."""
    journal = project / "artifacts" / ".so8t" / "journal.jsonl"
    return {entry["stage"]: entry["seconds"] for entry in map(json.loads, journal.read_text("utf-8").splitlines())}


def kill_in(project: Path, before: Sequence[str], moment: float) -> int:
    """SIGKILL so long after the stages before this one are there; the exit code, 0 if the build was quicker."""
    doing = start(project)
    manifests = [project / "artifacts" / "tiny" / stage / "manifest.json" for stage in before]
    while doing.poll() is None and not all(path.exists() for path in manifests):
        time.sleep(0.005)
    try:
        return doing.wait(timeout=moment)
    except (subprocess.TimeoutExpired, TimeoutError):
        os.killpg(doing.pid, signal.SIGKILL)
        return doing.wait()


def crash(project: Path, seed: int, kills: int, took: dict[str, float], good: dict[str, bytes]) -> int:
    """Kill builds in one stage after the other, at a random moment of each, until so many died.

    Each is checked after it; how many finished stages they met, which were there to be damaged.
    """
    luck, order = random.Random(seed), list(took)
    survived = died = 0
    for turn in itertools.cycle(range(len(order))):
        code = kill_in(project, order[:turn], luck.uniform(0.0, took[order[turn]] + STARTING))
        assert code in (0, -signal.SIGKILL)
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
        if died >= kills:
            break
        if code == 0 or turn == len(order) - 1:
            shutil.rmtree(project / "artifacts")
    assert start(project).wait(timeout=120) == 0
    assert digests(project) == good
    return survived


@pytest.mark.parametrize(("kills", "count"), [(4, 1), pytest.param(100, 2, marks=pytest.mark.soak)])
def test_kills_leave_nothing_wrong_and_nothing_to_do_twice(tmp_path: Path, root: Path, kills: int, count: int) -> None:
    whole = Pico(make(tmp_path / "whole"), root)
    assert start(whole.path).wait(timeout=120) == 0
    good, took = digests(whole.path), lengths(whole.path)
    lanes = [Pico(make(tmp_path / f"lane{lane}"), root).path for lane in range(count)]

    with ThreadPoolExecutor(count) as pool:
        runs = [pool.submit(crash, project, seed, kills // count, took, good) for seed, project in enumerate(lanes)]
        survived = [run.result() for run in runs]

    assert sum(survived) >= kills


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder
