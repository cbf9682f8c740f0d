"""doit's own console report, with lines for what runs below it where a terminal can redraw them."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from doit.reporter import ConsoleReporter

from so8t.engine import notices, terminal
from so8t.engine.backend import current_graph
from so8t.engine.frame import frame
from so8t.engine.notices import Notice
from so8t.engine.outlook import duration
from so8t.engine.screen import Screen
from so8t.store import running


class Reporter(ConsoleReporter):
    desc = "console output, and on a terminal what runs"

    def initialize(self, tasks: Any, selected_tasks: Any) -> None:
        super().initialize(tasks, selected_tasks)
        self._done: set[str] = set()
        self._began = time.monotonic()
        self._screen: Screen | None = None
        os.environ[running.BUILD] = str(os.getpid())
        graph = current_graph()
        graph.selected = [name for name in selected_tasks if name in graph.plan.rows]
        outlook = graph.outlook  # asked before anything is built
        if outlook and terminal.is_live(sys.stderr):
            self._stages, self._expected = outlook.stages, outlook.expected
            self._colours = terminal.has_colours(sys.stderr)
            self._screen = Screen(self._frame)
            os.environ[running.SCREEN] = "1"
            self._screen.open()

    def add_success(self, task: Any) -> None:
        super().add_success(task)
        self._done.add(task.name)

    def complete_run(self) -> None:
        if self._screen:
            self._screen.close()
        super().complete_run()
        took, plan = time.monotonic() - self._began, current_graph().plan
        worth_it = took >= 60 * plan.notify["minutes"] and (self._done or self.failures)
        if worth_it and not current_graph().leaving.was_asked:
            notices.give(self._notice(took), plan.notify, sys.stderr)

    def _notice(self, took: float) -> Notice:
        profile = current_graph().plan.layout.profile
        if self.failures:
            task, why = self.failures[0]["task"].name, self.failures[0]["exception"].get_msg()
            return Notice(f"so8t: {profile}: {task} failed", f"after {duration(took)}: {why.strip().splitlines()[0]}")
        return Notice(f"so8t: {profile} is built", f"{len(self._done)} stages in {duration(took)}")

    def _frame(self, columns: int) -> list[str]:
        mine = [each for each in running.read(current_graph().plan.layout.running) if each.build == str(os.getpid())]
        return frame(mine, self._stages, self._done, self._expected, time.time(), columns, self._colours)
