"""Tasks that a user writes into dodo.py beside the stages: doit treats them as it does everywhere."""

from __future__ import annotations

import pytest

from tests.house import House

pytestmark = pytest.mark.slow

TASKS = """

def task_upload():
    return {"actions": ["echo up >> uploads.txt"], "file_dep": ["artifacts/tiny/total/total.txt"], "doc": "the total"}


def task_broken():
    return {"actions": ["exit 3"]}


def task_stamped():
    return {"actions": ["echo now > stamp.txt"], "targets": ["stamp.txt"], "uptodate": [True], "clean": True}
"""


@pytest.fixture
def mixed(house: House) -> House:
    house.write("dodo.py", house.read("dodo.py") + TASKS)
    return house


def screen(house: House, *arguments: str) -> str:
    """The lines that doit says of tasks of their own."""
    out = house.doit(*arguments).out
    return "".join(f"{line}\n" for line in out.splitlines() if line[3:] in ("upload", "broken", "stamped"))


def test_one_that_reads_an_artifact_runs_when_the_artifact_changes(mixed: House) -> None:
    first, again = screen(mixed, "upload"), screen(mixed, "upload")
    mixed.edit("specs/tiny/doubled.yaml", "times: 2", "times: 3")
    edited, after = screen(mixed, "upload"), screen(mixed, "upload")

    assert [first, again, edited, after] == [".  upload\n", "-- upload\n", ".  upload\n", "-- upload\n"]
    assert mixed.read("uploads.txt") == "up\nup\n"


def test_one_that_failed_runs_again_and_leaves_no_mark(mixed: House) -> None:
    runs = [mixed.doit("broken") for _ in range(2)]

    assert [(run.code, run.out.splitlines()[0]) for run in runs] == [(1, ".  broken")] * 2
    state = mixed.path / "artifacts" / "tiny" / ".so8t"
    assert [folder for folder in ("forgotten", "ignored") if (state / folder).exists()] == []


def test_ignore_forget_and_clean_mean_what_they_mean_in_doit(mixed: House) -> None:
    said = [screen(mixed, *command.split()) for command in (
        "stamped", "stamped", "ignore stamped", "stamped", "forget stamped", "stamped", "clean stamped", "stamped",
    )]  # fmt: skip

    assert [line for line in said if line] == [
        ".  stamped\n", "-- stamped\n", "!! stamped\n", "-- stamped\n", ".  stamped\n",
    ]  # fmt: skip


def test_forget_all_forgets_stages_and_tasks(mixed: House) -> None:
    mixed.doit("upload")
    mixed.doit("forget", "--all")
    again = mixed.doit("upload")

    assert again.ran == ["numbers", "doubled", "total"]
    assert again.out == ".  numbers\n.  doubled\n.  total\n.  upload\n"


def test_a_project_of_stages_alone_has_no_database(mixed: House) -> None:
    database = mixed.path / "artifacts" / "tiny" / ".so8t" / "own-tasks.json"
    mixed.doit("numbers")
    before = database.exists()
    mixed.doit("upload")

    assert (before, database.exists()) == (False, True)


@pytest.mark.parametrize("command", ["why", "verify", "accept", "graph"])
def test_our_commands_say_that_it_is_not_a_stage(mixed: House, command: str) -> None:
    ran = mixed.doit(command, "upload")

    said = "ERROR: 'upload' is a task of dodo.py, not a stage: the command works with stages alone"
    assert (ran.code, ran.out, [line for line in ran.err.splitlines() if line]) == (3, "", [said])
