"""The tables of stages on the pages of a project, written between two marks from what the stages say of themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from so8t.engine.contents import describe
from so8t.engine.stage import Stage

_TABLE = re.compile(r"(<!-- stages: written by doit schema -->\n).*?(<!-- /stages -->\n)", re.DOTALL)


def pages(project: Path, stages: Mapping[str, Stage]) -> dict[Path, str]:
    """Every page that has a table, as it should be."""
    there = {project / name: table(stages) for name, table in _PAGES.items() if (project / name).is_file()}
    return {path: _with(path.read_text("utf-8"), table) for path, table in there.items()}


def _with(page: str, table: str) -> str:
    return _TABLE.sub(lambda found: f"{found[1]}{table}{found[2]}", page)


def _what_it_gives(stages: Mapping[str, Stage]) -> str:
    rows = "".join(f"| `{name}` | {describe(stage)} |\n" for name, stage in stages.items())
    return f"| stage | what it gives |\n|---|---|\n{rows}"


def _ins_and_outs(stages: Mapping[str, Stage]) -> str:
    rows = "".join(
        f"| `{name}` | {_listed(taken.split('/')[0] for taken in stage.takes)} | {_listed(stage.gives)} |\n"
        for name, stage in stages.items()
    )
    return f"| stage | takes | gives |\n|---|---|---|\n{rows}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in dict.fromkeys(names)) or "sources"


_PAGES: Mapping[str, Callable[[Mapping[str, Stage]], str]] = {
    "README.md": _what_it_gives,
    "docs/stages.md": _ins_and_outs,
}
