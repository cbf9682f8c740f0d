"""doit watch: a page in the browser that shows a build while it runs, started here or in another terminal."""

from __future__ import annotations

import sys
import time
from dataclasses import replace

from doit.cmd_base import DoitCmdBase
from doit.exceptions import InvalidCommand

from so8t.engine import plan as plans
from so8t.engine.backend import current_graph
from so8t.engine.leaving import Left
from so8t.engine.state import state
from so8t.errors import MissingExtra, UserError
from so8t.serve.live import Live


class Watch(DoitCmdBase):
    name = "watch"
    doc_purpose = "show a build in the browser while it runs"
    doc_usage = "[--port N]"
    doc_description = (
        "Start it in a second terminal: it shows what any doit builds in this folder, and builds nothing. "
        "The address that it prints works on this machine alone. End it with Ctrl-C."
    )
    cmd_options = (
        {
            "name": "port",
            "long": "port",
            "type": int,
            "default": 0,
            "help": "where to listen [default: a free one]",
        },
    )

    def _execute(self, pos_args: list[str], port: int = 0) -> int:
        if pos_args:
            raise InvalidCommand(f"watch takes no arguments (got {' '.join(pos_args)})")
        graph = current_graph()
        graph.leaving.sentence = "nothing is watched any more; builds go on"
        try:
            live = Live(lambda: state(plans.load(graph.project, graph.profile), time.time()), report, port)
        except UserError as error:
            raise InvalidCommand(str(error)) from error
        print(f"watch: {live.url}", file=sys.stderr, flush=True)
        try:
            live.run()
        except Left:
            return 0
        return 0


def report() -> str:
    """Of what is there by now; its links to files lead nowhere from here, so there are none."""
    try:
        from so8t.report import page, reading
    except ImportError as error:
        raise MissingExtra(error.name or "jinja2", "report", "the report") from error
    facts = reading.read(current_graph().plan.layout, "report")
    return page.render(replace(facts, artifacts=None, project=None))
