"""doit graph: the graph in Graphviz' language, coloured by what is up to date.  Needs no Graphviz to write it."""

from __future__ import annotations

from collections.abc import Sequence

from so8t.engine.backend import check_stages, current_graph
from so8t.engine.plain import TaskCommand
from so8t.engine.status import Session


class DrawGraph(TaskCommand):
    name = "graph"
    doc_purpose = "print the graph as DOT (doit graph | dot -Tsvg > graph.svg)"
    doc_usage = "[TASK ...]"
    doc_description = (
        "All stages, or these and what they stand on. "
        "Filled boxes are up to date, dashed ones would be looked at by the next `doit`."
    )
    cmd_options = ()

    def _execute(self, pos_args: list[str]) -> int:
        check_stages(self.task_list, pos_args)
        self.outstream.write(draw(current_graph().session, pos_args))
        return 0


def draw(session: Session, names: Sequence[str]) -> str:
    lines = ["digraph so8t {", "  rankdir=LR; node [shape=box, fontname=Helvetica];"]
    drawn = session.plan.above(names) if names else session.plan.rows
    for name in drawn:
        style = 'style=filled, fillcolor="#dff0d8"' if session.is_current(name) else "style=dashed"
        lines.append(f'  "{name}" [{style}];')
    for name in drawn:
        lines += [f'  "{up}" -> "{name}";' for up in session.plan.rows[name].upstream]
    return "\n".join([*lines, "}"]) + "\n"
