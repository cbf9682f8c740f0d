"""Locks and the journal, between processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from so8t.store import journal
from so8t.store.layout import Layout
from so8t.store.locks import key_lock, stage_lock

ROOT = Path(__file__).resolve().parents[2]
HOLD = """
import sys
from pathlib import Path
from so8t.store.layout import Layout
from so8t.store.locks import stage_lock

with stage_lock(Layout(Path.cwd(), Path.cwd() / "artifacts", "tiny"), sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""
HOLD_KEY = HOLD.replace("stage_lock", "key_lock").replace('"tiny"), ', '"other"), "adapter", ')
NOTE = """
from pathlib import Path
from so8t.store import journal
from so8t.store.layout import Layout

for number in range(200):
    journal.append(Layout(Path.cwd(), Path.cwd() / "artifacts", "tiny"), "段階" * number, "k", "built", 1.0)
"""


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return Layout(tmp_path, tmp_path / "artifacts", "tiny")


def start(script: str, folder: Path, *args: str) -> subprocess.Popen[str]:
    pipe = subprocess.PIPE
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script, *args]
    return subprocess.Popen(command, cwd=folder, env=env, text=True, stdin=pipe, stdout=pipe, stderr=pipe)


def test_the_second_waits_names_the_first_and_goes_on_when_it_is_killed(layout: Layout) -> None:
    first = start(HOLD, layout.project, "adapter")
    assert first.stdout.readline() == "locked\n"
    second = start(HOLD, layout.project, "adapter")

    assert second.stderr.readline() == f"adapter: waiting for another build of it (process {first.pid})\n"
    first.kill()
    assert second.stdout.readline() == "locked\n"
    second.communicate("")
    first.communicate()
    assert (first.returncode, second.returncode) == (-9, 0)


def test_two_stages_do_not_wait_for_each_other_and_a_lock_can_be_taken_again(layout: Layout, capsys) -> None:
    for _ in range(2):
        with stage_lock(layout, "raw"), stage_lock(layout, "cleaned"):
            pass

    assert capsys.readouterr().err == ""


def test_a_failure_inside_frees_the_lock(layout: Layout) -> None:
    with pytest.raises(ZeroDivisionError), stage_lock(layout, "raw"):
        _ = 1 / 0

    held = start(HOLD, layout.project, "raw")
    assert held.stdout.readline() == "locked\n"
    assert held.communicate("")[1] == ""


def test_the_journal_has_one_line_per_event(layout: Layout) -> None:
    journal.append(layout, "adapter", "abc", "built", 1.23456)
    journal.append(layout, "合計", "def", "restored", 0)

    first, second = map(json.loads, (layout.shared / "journal.jsonl").read_text("utf-8").splitlines())
    assert list(first) == ["when", "host", "process", "profile", "stage", "key", "outcome", "seconds"]
    assert (first["process"], first["profile"], first["stage"], first["key"]) == (os.getpid(), "tiny", "adapter", "abc")
    assert (first["outcome"], first["seconds"], second["stage"]) == ("built", 1.235, "合計")


def test_lines_of_several_processes_stay_whole(layout: Layout) -> None:
    writers = [start(NOTE, layout.project) for _ in range(3)]
    assert [writer.communicate()[1] for writer in writers] == ["", "", ""]

    lines = (layout.shared / "journal.jsonl").read_text("utf-8").splitlines()
    assert sorted(len(json.loads(line)["stage"]) for line in lines) == sorted([2 * n for n in range(200)] * 3)


def test_a_journal_that_cannot_be_written_is_told_and_fails_nothing(layout: Layout, capsys) -> None:
    (layout.shared / "journal.jsonl").mkdir(parents=True)

    journal.append(layout, "raw", "abc", "built", 1.0)

    assert capsys.readouterr().err == (
        "warning: raw: not in the journal: Is a directory: artifacts/.so8t/journal.jsonl\n"
    )


def test_two_profiles_that_want_one_result_wait_for_each_other_and_others_do_not(layout: Layout) -> None:
    with key_lock(layout, "adapter", "ab" * 32):
        with key_lock(replace(layout, profile="other"), "adapter", "cd" * 32):
            pass  # another result
        other = start(HOLD_KEY, layout.project, "ab" * 32)
        assert other.stderr.readline() == f"adapter: waiting for a build of another profile (process {os.getpid()})\n"
    assert other.stdout.readline() == "locked\n"
    other.communicate("")
