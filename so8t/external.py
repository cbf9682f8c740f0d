"""The one door to other programs: found on PATH, run with a plain list of arguments, their output kept."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from so8t.errors import StageError

_SHOWN = 8  # lines of a failed program's output in the message


def find(program: str, why: str) -> Path:
    """A program's path, by name or by path."""
    found = shutil.which(program)
    if found is None:
        raise StageError(f"{why} needs {program}, which is not on PATH; install it, or leave the setting out")
    return Path(found)


def run(program: Path, arguments: Sequence[str | Path], why: str) -> str:
    """Everything the program said, on both streams; an exit code other than 0 is a StageError with its last lines."""
    argv = [str(program), *(str(argument) for argument in arguments)]
    try:
        done = subprocess.run(
            argv, check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
    except OSError as error:
        raise StageError(f"{why}: {program.name} cannot be started: {error.strerror}") from error
    said = done.stdout.decode("utf-8", "replace")
    if done.returncode != 0:
        last = "\n  ".join(said.strip().splitlines()[-_SHOWN:]) or "nothing"
        raise StageError(f"{why}: {program.name} ended with exit code {done.returncode} and said\n  {last}")
    return said
