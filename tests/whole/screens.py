"""What doit puts on a person's screen: many command lines of one project in one process, with our commands in place."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import tomllib

from tests.house import House
from tests.whole.pico import Pico

_COMMANDS = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text("utf-8"))["project"]["entry-points"]
_RUN = """
import io, json, sys

sys.stdout = sys.stderr = screen = io.StringIO()  # before doit takes it for its own
from doit.doit_cmd import DoitMain

said = []
for line in json.loads(sys.argv[1]):
    sys.argv = ["doit", *line.split()]
    sys.modules.pop("dodo", None)  # its graph is of one profile
    screen.seek(0)
    screen.truncate()
    code = DoitMain(extra_config={"COMMAND": json.loads(%r)}).run(line.split())
    said.append((code, screen.getvalue()))
print(json.dumps(said), file=sys.__stdout__)
"""


def screens(house: House | Pico, lines: Sequence[str]) -> dict[str, tuple[int, str]]:
    """By command line: the exit code, and what was printed."""
    run = subprocess.run(
        [sys.executable, "-c", _RUN % json.dumps(_COMMANDS["doit.COMMAND"]), json.dumps(lines)],
        cwd=house.path,
        env=house.env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    return {
        line: (code, text) for line, (code, text) in zip(lines, json.loads(run.stdout.splitlines()[-1]), strict=True)
    }
