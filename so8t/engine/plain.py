"""What every command says of an option that it does not have and of a name that no task has, in place of doit's dumps.

doit's own commands are among them: the entry points of this package stand for doit's.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from doit import cmd_base, cmd_clean, cmd_forget, cmd_ignore, cmd_info, cmd_list, cmd_run
from doit.cmdparse import CmdParseError
from doit.exceptions import InvalidCommand

from so8t.spec.mistakes import did_you_mean

_OPTION = re.compile(r"^Error parsing (Command|Task): (option (\S+) .*?) \(parsing options: ", re.DOTALL)
_TASK = re.compile(r"^'(.*)' is not a task\.$", re.DOTALL)
_ELSEWHERE = {  # what people know from other programs
    "profile": "a profile is chosen without dashes: doit profile=mine",
    "dry-run": "doit plan says what would be built, and builds nothing",
}


class Plain(cmd_base.Command):
    """A command whose refusals say what to do."""

    def parse_execute(self, in_args: list[str]) -> Any:
        try:
            return super().parse_execute(in_args)
        except CmdParseError as error:
            raise CmdParseError(self._of_option(str(error))) from None
        except InvalidCommand as error:
            self._name_tasks(error)

    def _of_option(self, text: str) -> str:
        found = _OPTION.match(text)
        if not found:
            return text
        where, said, option = found.groups()
        owner, more = f"doit {self.name}", f"\ndoit help {self.name} prints its options"
        if "not recognized" not in said:
            return said + more
        if where == "Task":
            owner, more = "a task", f"\noptions of {owner} stand before the names of tasks"
        else:
            more = did_you_mean(option, [f"--{each.long}" for each in self.cmdparser.options if each.long]) + more
        hint = _ELSEWHERE.get(option.lstrip("-"))
        return f"{owner} has no option {option}{f': {hint}' if hint else more}"

    def _name_tasks(self, error: InvalidCommand) -> NoReturn:
        told = _TASK.match(str(error))
        name = error.not_found or (told and told[1])
        if not name:
            raise error
        self._name_absent(str(name))
        tasks = [task.name for task in getattr(self, "task_list", ())]
        commands = self.loader.cmd_names if isinstance(self, Run) else []
        raise InvalidCommand(unknown(name, tasks, commands)) from None

    def _name_absent(self, name: str) -> None:
        """A stage that no spec asks for is no task, and no typing error either."""
        from so8t.engine.backend import Backend

        plan = Backend.graph.plan if Backend.graph else None
        if plan and name in plan.absent:
            spec = f"specs/{plan.layout.profile}/{name}.yaml"
            raise InvalidCommand(f"{name} is not in this profile's graph: {spec} does not ask for it") from None


class TaskCommand(Plain, cmd_base.DoitCmdBase):
    """The base of our commands that look at the graph."""


def unknown(name: str, tasks: Sequence[str], commands: Sequence[str] = ()) -> str:
    """With the nearest name, and where all of them are."""
    what = "a command, a task or a target" if commands else "a task"
    lists = "doit list prints the tasks" + (", doit help the commands" if commands else "")
    return f"{name} is not {what}{_nearest(name, [*tasks, *commands])}\n{lists}"


def _nearest(name: str, known: Iterable[str]) -> str:
    """By its letters, or where it is a part of one name alone."""
    holding = [each for each in known if name.casefold() in each.casefold()]
    return f", did you mean {holding[0]}?" if len(holding) == 1 else did_you_mean(name, known)


# ---- doit's own ----------------------------------------------------------------------------------------------


class Run(Plain, cmd_run.Run):
    pass


class List(Plain, cmd_list.List):
    pass


class Clean(Plain, cmd_clean.Clean):
    pass


class Forget(Plain, cmd_forget.Forget):
    pass


class Ignore(Plain, cmd_ignore.Ignore):
    pass


class Info(Plain, cmd_info.Info):
    def _execute(self, pos_args: list[str], hide_status: bool = False) -> int:
        if len(pos_args) == 1:
            cmd_base.check_tasks_exist({task.name for task in self.task_list}, pos_args)
        return int(super()._execute(pos_args, hide_status))
