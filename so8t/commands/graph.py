"""doit graph: the graph in Graphviz' language, coloured by what is up to date.  Needs no Graphviz to write it."""

from __future__ import annotations

from doit.cmd_base import DoitCmdBase

from so8t.engine.status import Session
from so8t.engine.tasks import current_graph


class DrawGraph(DoitCmdBase):
    name = "graph"
    doc_purpose = "print the graph as DOT (doit graph | dot -Tsvg > graph.svg)"
    doc_usage = ""
    doc_description = "Filled boxes are up to date, dashed ones would be looked at by the next `doit`."
    cmd_options = ()

    def _execute(self) -> int:
        self.outstream.write(draw(current_graph().session))
        return 0


def draw(session: Session) -> str:
    lines = ["digraph so8t {", "  rankdir=LR; node [shape=box, fontname=Helvetica];"]
    for name in session.plan.rows:
        style = 'style=filled, fillcolor="#dff0d8"' if session.is_current(name) else "style=dashed"
        lines.append(f'  "{name}" [{style}];')
    for row in session.plan.rows.values():
        lines += [f'  "{up}" -> "{row.name}";' for up in row.upstream]
    return "\n".join([*lines, "}"]) + "\n"
