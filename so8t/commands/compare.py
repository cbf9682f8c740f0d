"""doit compare: what differs between two runs, from the values to each answer."""

from __future__ import annotations

import json as json_
from collections.abc import Sequence
from pathlib import Path

from doit.exceptions import InvalidCommand

from so8t.commands.runs import JSON
from so8t.engine.backend import current_graph
from so8t.engine.plain import TaskCommand
from so8t.errors import UserError
from so8t.runs import text
from so8t.runs.differences import Differences
from so8t.runs.door import Runs
from so8t.runs.known import Run


class Compare(TaskCommand):
    name = "compare"
    doc_purpose = "say what differs between two runs: values, records, code, figures, answers"
    doc_usage = "A B"
    doc_description = (
        "A run is a profile, which stands for what is published of it, or the beginning of a key that doit runs lists. "
        "Exit code 0 if nothing differs, 1 if something does."
    )
    cmd_options = (
        JSON,
        {"name": "every", "long": "all", "type": bool, "default": False, "help": "all lines, not the first 20 of each"},
        {"name": "html", "long": "html", "type": str, "default": "", "help": "write it as a page to this file"},
    )

    def _execute(self, pos_args: list[str], json: bool = False, every: bool = False, html: str = "") -> int:
        if len(pos_args) != 2:
            raise InvalidCommand("doit compare takes two runs: doit compare tiny mine")
        runs = Runs(current_graph().plan)
        try:
            before, after = (runs.named(name) for name in pos_args)
            found = runs.compare(before, after)
            if html:
                write(Path(html), runs, [(pos_args[0], before), (pos_args[1], after)], found)
        except UserError as error:
            raise InvalidCommand(str(error)) from error
        except OSError as error:
            raise InvalidCommand(f"{html}: {error.strerror}") from error
        if json:
            document = {"before": before.key, "after": after.key, **found.as_json()}
            self.outstream.write(json_.dumps(document, ensure_ascii=False, indent=1) + "\n")
        elif html:
            self.outstream.write(f"{html}\n")
        else:
            self.outstream.writelines(f"{line}\n" for line in text.report(found, every))
        return int(found.any)


def write(path: Path, runs: Runs, named: Sequence[tuple[str, Run]], found: Differences) -> None:
    from so8t.report import comparison

    before, after = (comparison.Side(name, run, runs.told(run)) for name, run in named)
    questions = runs.questions([run for _, run in named], {each.id for each in found.answers})
    path.write_text(comparison.render(before, after, found, questions), "utf-8", newline="\n")
