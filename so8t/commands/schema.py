"""doit schema: write the JSON Schemas of the specs and their reference, or check that they are fresh."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from doit.exceptions import InvalidCommand

from so8t.engine import contents, pages
from so8t.engine.plain import Plain
from so8t.errors import UserError
from so8t.spec import profile, schema
from so8t.spec.profile import label
from so8t.spec.yamltree import dotted


class Schema(Plain):
    name = "schema"
    doc_purpose = "write the specs' JSON Schemas and reference, and the pages' tables of stages"
    doc_usage = ""
    doc_description = "Editors find a YAML file's schema through its first line."
    cmd_options = (
        {
            "name": "check",
            "long": "check",
            "type": bool,
            "default": False,
            "help": "write nothing; exit with 1 if a file is not fresh",
        },
        {
            "name": "upgrade",
            "long": "upgrade",
            "type": bool,
            "default": False,
            "help": "first rewrite old names of keys in the profiles, in place; comments and order stay",
        },
    )

    def execute(self, opt_values: dict[str, Any], pos_args: list[str]) -> int:
        if pos_args:
            raise InvalidCommand(f"schema takes no arguments (got {' '.join(pos_args)})")
        try:
            if opt_values["upgrade"]:
                upgrade(Path.cwd())
            return run(Path.cwd(), opt_values["check"])
        except UserError as error:
            raise InvalidCommand(str(error)) from error


def upgrade(project: Path) -> None:
    for each in profile.upgrade(project, contents.read(project).renamed):
        print(f"{each.key.file.name}:{each.key.line}:{each.key.column}: {dotted(each.path)} -> {each.new}")


def run(project: Path, check: bool) -> int:
    """Print a line for each file that changed, or that would, and give the exit code."""
    table = contents.read(project)
    models, generated = table.models, pages.pages(project, table.stages)
    changed = schema.stale(project, models, generated) if check else schema.write(project, models, generated)
    unmarked = schema.unmarked(project, models)
    for path in changed:
        print(f"{label(project, path)}: {_word(path, check)}")
    for path in unmarked:
        print(f"{label(project, path)}: the first line should be {schema.first_line(path.stem)}")
    return 1 if check and (changed or unmarked) else 0


def _word(path: Path, check: bool) -> str:
    if check:
        return "stale: run doit schema"
    return "written" if path.exists() else "removed"
