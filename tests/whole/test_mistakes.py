"""The mistakes that new users made, and the whole screen of each: where, what, what to do, and a code that is not 0."""

from __future__ import annotations

import pytest

from tests.house import House
from tests.whole.screens import screens

LISTS = "doit list prints the tasks, doit help the commands\n"
COMMAND_LINES = {
    "doubld": f"doubld is not a command, a task or a target, did you mean doubled?\n{LISTS}",
    "numb": f"numb is not a command, a task or a target, did you mean numbers?\n{LISTS}",
    "lst": f"lst is not a command, a task or a target, did you mean list?\n{LISTS}",
    "frob": f"frob is not a command, a task or a target\n{LISTS}",
    "info totl": "totl is not a task, did you mean total?\ndoit list prints the tasks\n",
    "why totl": "totl is not a task, did you mean total?\ndoit list prints the tasks\n",
    "clean totl": "totl is not a task, did you mean total?\ndoit list prints the tasks\n",
    "--profile mine": "doit run has no option --profile: a profile is chosen without dashes: doit profile=mine\n",
    "list --profile=mine": "doit list has no option --profile: a profile is chosen without dashes: doit profile=mine\n",
    "--dry-run": "doit run has no option --dry-run: doit plan says what would be built, and builds nothing\n",
    "total --dry-run": "a task has no option --dry-run: doit plan says what would be built, and builds nothing\n",
    "total --single": "a task has no option --single\noptions of doit run stand before the names of tasks\n",
    "gc --budgt 3": "doit gc has no option --budgt, did you mean --budget?\ndoit help gc prints its options\n",
    "run --reporter": "option --reporter requires argument\ndoit help run prints its options\n",
}


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str]]:
    return screens(House(tmp_path_factory.mktemp("mistakes")), list(COMMAND_LINES))


@pytest.mark.parametrize("line", COMMAND_LINES)
def test_a_wrong_command_line_is_answered_with_what_was_meant(said: dict[str, tuple[int, str]], line: str) -> None:
    assert said[line] == (3, f"ERROR: {COMMAND_LINES[line]}")


def test_no_command_line_built_anything(
    said: dict[str, tuple[int, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert [*tmp_path_factory.getbasetemp().glob("mistakes*/log.txt")] == []
