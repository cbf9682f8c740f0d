"""doit's own console report, with lines for what runs below it where a terminal can redraw them."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from doit.reporter import ConsoleReporter

from so8t.engine.backend import current_graph
from so8t.engine.outlook import Outlook, duration

if TYPE_CHECKING:
    from so8t.engine.notices import Notice
    from so8t.engine.screen import Screen


class Reporter(ConsoleReporter):
    """What only a terminal or a long build needs is imported for those."""

    desc = "console output, and on a terminal what runs"
    failures: list[Any]

    def initialize(self, tasks: Any, selected_tasks: Any) -> None:
        super().initialize(tasks, selected_tasks)
        self._done: set[str] = set()
        self._told = False
        self._began = time.monotonic()
        graph = current_graph()
        graph.selected = [name for name in selected_tasks if name in graph.plan.rows]
        self._screen = _screen(graph.outlook, self._done) if graph.outlook else None

    def execute_task(self, task: Any) -> None:
        """Before the first stage of a long run: what it has before it."""
        if not self._told and task.name in current_graph().plan.rows:
            self._told = True
            sys.stderr.writelines(f"{line}\n" for line in current_graph().foreseen[0])
        super().execute_task(task)

    def add_success(self, task: Any) -> None:
        super().add_success(task)
        self._done.add(task.name)

    def complete_run(self) -> None:
        if self._screen:
            self._screen.close()
        self._end()
        took, graph = time.monotonic() - self._began, current_graph()
        worth_it = took >= 60 * graph.plan.notify["minutes"] and (self._done or self.failures)
        if worth_it and not graph.leaving.was_asked:
            from so8t.engine import notices

            notices.give(self._notice(took), graph.plan.notify, sys.stderr)

    def _end(self) -> None:
        """doit's last words; of a stage that failed everything was said, and nothing is kept to be said again."""
        failures = self.failures
        stages = current_graph().plan.rows
        self.failures = [each for each in failures if each["task"].name not in stages]
        super().complete_run()
        self.failures = failures

    def _notice(self, took: float) -> Notice:
        from so8t.engine.notices import Notice

        profile = current_graph().plan.layout.profile
        if self.failures:
            task, why = self.failures[0]["task"].name, self.failures[0]["exception"].get_msg()
            return Notice(f"so8t: {profile}: {task} failed", f"after {duration(took)}: {why.strip().splitlines()[0]}")
        return Notice(f"so8t: {profile} is built", f"{len(self._done)} stages in {duration(took)}")


def _screen(outlook: Outlook, done: set[str]) -> Screen | None:
    """Open, with a line for each stage of this build that runs, whichever process builds it; `done` grows."""
    from so8t.engine import terminal
    from so8t.engine.frame import frame
    from so8t.engine.screen import Screen
    from so8t.store import running

    if not terminal.is_live(sys.stderr):
        return None
    build, folder = str(os.getpid()), current_graph().plan.layout.running
    colours = terminal.has_colours(sys.stderr)

    def lines(columns: int) -> list[str]:
        mine = [each for each in running.read(folder) if each.build == build]
        return frame(mine, outlook.stages, done, outlook.expected, time.time(), columns, colours)

    os.environ |= {running.BUILD: build, running.SCREEN: "1"}
    screen = Screen(lines)
    screen.open()
    return screen
