"""doit serve: answer questions over HTTP with the built model; the answer goes out, the thinking stays in."""

from __future__ import annotations

from typing import Any

from doit.exceptions import InvalidCommand

from so8t.engine.backend import current_graph
from so8t.engine.leaving import Left
from so8t.engine.plain import TaskCommand
from so8t.errors import UserError


class Serve(TaskCommand):
    name = "serve"
    doc_purpose = "answer questions over HTTP with the built model"
    doc_usage = ""
    doc_description = "Reads specs/<profile>/serve.yaml. Stop it with Ctrl-C: running answers are finished."
    cmd_options = (
        {
            "name": "development",
            "long": "development",
            "type": bool,
            "default": False,
            "help": "start without an audit key",
        },
    )

    def _execute(self, development: bool, pos_args: Any = ()) -> int:
        if pos_args:
            raise InvalidCommand(f"serve takes no arguments (got {' '.join(pos_args)})")
        from so8t.serve.start import run

        graph = current_graph()
        graph.leaving.sentence = "serve has stopped"
        try:
            run(graph.project, graph.profile, development)
        except Left:  # Ctrl-C or SIGTERM: running answers are finished
            return 0
        except UserError as error:
            raise InvalidCommand(str(error)) from error
        return 0
