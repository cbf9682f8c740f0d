"""doit sweep: a profile for each combination of values, all of them built, and what they are worth side by side."""

from __future__ import annotations

import json as json_
import sys

from doit.exceptions import InvalidCommand

from so8t.commands.runs import JSON
from so8t.engine import plan as plans
from so8t.engine.backend import check_stages, current_graph
from so8t.engine.building import Ended
from so8t.engine.plain import TaskCommand
from so8t.engine.plan import Plan
from so8t.errors import UserError
from so8t.runs import sweep, text


class Sweep(TaskCommand):
    name = "sweep"
    doc_purpose = "build a profile with every combination of some values, and compare the results"
    doc_usage = "[-n N] [--json] PROFILE STAGE.FIELD=VALUE,VALUE... [STAGE.FIELD=...] [TASK ...]"
    doc_description = (
        "Values are written as in a spec; 0..2 is 0, 1 and 2. Each combination becomes a profile of its own in specs/, "
        "and the same command goes on after an interruption. Over an axis that ends in .seed means are taken. "
        "Exit code 0 if all were built, 1 if one was not or missed a bound, 3 if a value is refused."
    )
    cmd_options = (
        JSON,
        {
            "name": "at_once",
            "short": "n",
            "long": "process",
            "type": int,
            "default": 1,
            "help": "profiles that are built at the same time [default: %(default)s]",
        },
    )

    def _execute(self, pos_args: list[str], json: bool = False, at_once: int = 1) -> int:
        from doit import doit_cmd

        given = doit_cmd._CMDLINE_VARS or {}  # doit takes every NAME=VALUE out of the arguments, and of two the last
        axes = [f"{name}={value}" for name, value in given.items() if name != "profile"]
        for name in given:
            if sum(argument.startswith(f"{name}=") for argument in sys.argv) > 1:
                raise InvalidCommand(f"{name} is given twice: write its values after one another, {name}=1,2")
        if not pos_args or not axes:
            raise InvalidCommand("doit sweep takes a profile and axes: doit sweep tiny adapter.lora.r=16,64")
        profile, *stages = pos_args
        check_stages(self.task_list, stages)
        try:
            base = plans.load(current_graph().project, profile)
            result = sweep.run(base, axes, stages, max(at_once, 1), say, current_graph().lacks)
        except UserError as error:
            raise InvalidCommand(str(error)) from error
        if json:
            self.outstream.write(json_.dumps(result.as_json(), ensure_ascii=False, indent=1) + "\n")
        else:
            self.outstream.writelines(f"{line}\n" for line in text.sweep(result))
        return int(not result.is_whole)


def say(plan: Plan, ended: Ended) -> None:
    line = ended.line if ended.how else ended.message
    print(f"   {plan.layout.profile}: {line}", file=sys.stderr, flush=True)
