"""doit init: a profile from a file of data and a base model."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from doit.exceptions import InvalidCommand

from so8t.drafts import base, data, profile
from so8t.drafts.draft import Draft
from so8t.engine import plan
from so8t.engine.plain import Plain
from so8t.errors import StageError, UserError
from so8t.store.atomic import write_atomic


class Init(Plain):
    name = "init"
    doc_purpose = "write a profile from a file of data and a base, every line with its reason"
    doc_usage = "DATA"
    doc_description = (
        "DATA: JSONL, a JSON array, CSV, TSV, Parquet or Excel. What it shows, and the base, is not asked."
    )
    cmd_options = (
        {
            "name": "base",
            "long": "base",
            "type": str,
            "default": "",
            "help": "the base: a folder, a GGUF, or a repository of the hub (owner/name or owner/name@commit); "
            "a tiny one that is trained here if not given",
        },
        {
            "name": "name",
            "long": "name",
            "type": str,
            "default": "",
            "help": "the profile's name; the file's own if not given",
        },
    )

    def parse_execute(self, in_args: list[str]) -> Any:
        return super().parse_execute(options_first(in_args))

    def execute(self, opt_values: dict[str, Any], pos_args: list[str]) -> int:
        if len(pos_args) != 1:
            raise InvalidCommand(f"init takes one file of data (got {len(pos_args)}): doit init mine.csv")
        try:
            lines = run(Path.cwd(), Path(pos_args[0]), opt_values["base"] or None, opt_values["name"])
        except UserError as error:
            raise InvalidCommand(str(error)) from error
        print("\n".join(lines))
        return 0


def options_first(arguments: Sequence[str]) -> list[str]:
    """doit takes what follows the first word for words; people write `doit init mine.csv --base FOLDER`."""
    options: list[str] = []
    words: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("--"):
            words.append(argument)
            continue
        options.append(argument)
        if "=" not in argument and (value := next(rest, None)) is not None:
            options.append(value)
    return [*options, *words]


def run(project: Path, path: Path, named: str | None, name: str = "") -> list[str]:
    """Write the profile and give the lines that say what was seen and what is next."""
    called = name or re.sub(r"[^a-z0-9_-]+", "-", path.name.split(".")[0].lower()).strip("-") or "mine"
    if not re.fullmatch(r"[\w-]+", called):
        raise StageError(f"--name {called}: a profile's name has letters, digits, - and _")
    folder = project / "specs" / called
    if folder.exists():
        raise StageError(f"specs/{called} exists already: choose another one with --name")
    draft = Draft(called, data.look(project, path), base.look(project, named))
    made = profile.files(draft)
    folder.mkdir(parents=True)
    for file, text in made.items():
        write_atomic(folder / file, text.encode("utf-8"))
    plan.load(project, called)  # a profile that this command writes is valid, or the mistake is shown here
    return profile.summary(draft, made)
